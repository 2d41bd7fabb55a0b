"""Rows by order and value: what a sort, a comparison or a count needs beyond MXNet's operators."""

from detkit.ops.arrays import gather_rows

LARGEST = 3.4028234663852886e38  # the largest float32


def is_finite(F, data):
    """1 where data is a number, 0 for NaN and infinities, which are no zero minus themselves."""
    return (data - data) == 0


def finite_boxes(F, boxes):
    """1 for boxes (B, N, 4) with four finite coordinates: (B, N)."""
    return F.min(is_finite(F, boxes), axis=2)


def keep(F, condition, data, otherwise):
    """data where condition is not 0, elsewhere the scalar ``otherwise``."""
    return F.where(condition, data, F.ones_like(data) * otherwise)


def steps(F, like, count):
    """0, 1, ... count - 1, shape (count,), on the device of ``like`` (B, ...)."""
    single = F.reshape(F.slice_axis(F.reshape(like, shape=(-1,)), axis=0, begin=0, end=1), (1, 1))
    return F.contrib.arange_like(F.repeat(F.zeros_like(single), repeats=count, axis=1), axis=1)


def take(F, data, index):
    """Elements (B, S) of data (B, N) at index (B, S), image by image."""
    return F.squeeze(gather_rows(F, F.expand_dims(data, axis=2), index), axis=2)


def descending(F, keys):
    """Positions (B, N) of the finite keys (B, N) from the largest to the smallest, as float32.

    Equal keys keep their order, which argsort and topk alone do not grant: as float64, a key has
    29 bits to spare below those of a float32, and the position goes into them (N < 2^24).
    """
    keys = F.cast(keys, dtype="float64")
    position = F.cast(F.contrib.arange_like(keys, axis=1), dtype="float64")
    # The second term is for zeros: far below the smallest float32, above 0 as a float64.
    gap = F.abs(keys) * 2.0**-49 + 2.0**-200
    keys = keys - F.broadcast_mul(gap, F.expand_dims(position, axis=0))
    return F.argsort(keys, axis=1, is_ascend=False)


def label_ids(F, labels):
    """Whole numbers (B, N) from 0 on, equal where labels (B, N) are; NaN equals NaN.

    box_nms rounds the labels it is given and drops those of -1.
    """
    labels = F.where(labels == labels, labels, F.ones_like(labels) * LARGEST)
    ordered = F.sort(labels, axis=1)
    first = F.slice_axis(ordered, axis=1, begin=0, end=1)
    before = F.slice_axis(F.concat(first, ordered, dim=1), axis=1, begin=0, end=-1)
    ids = F.cumsum(F.broadcast_not_equal(ordered, before), axis=1)
    return take(F, ids, F.argsort(F.argsort(labels, axis=1), axis=1))

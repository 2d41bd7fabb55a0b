"""Sorting, selecting and counting rows, where MXNet's operators need help."""

from detkit.ops.arrays import gather_rows
from detkit.typing import Namespace, Tensor

LARGEST = 3.4028234663852886e38  # the largest float32


def is_finite(F: Namespace, data: Tensor) -> Tensor:
    """Returns 1 for finite elements, 0 for NaN and infinities: minus themselves, they are NaN."""
    return (data - data) == 0


def finite_boxes(F: Namespace, boxes: Tensor) -> Tensor:
    """Returns 1 for boxes (B, N, 4) with four finite coordinates: (B, N)."""
    return F.min(is_finite(F, boxes), axis=2)


def where_or(F: Namespace, condition: Tensor, data: Tensor, otherwise: float) -> Tensor:
    """Returns data if condition is not 0, and the scalar ``otherwise`` if it is."""
    return F.where(condition, data, F.ones_like(data) * otherwise)


def steps(F: Namespace, like: Tensor, count: int) -> Tensor:
    """Returns 0, 1, ... count - 1, shape (count,), on the device of ``like`` (B, ...)."""
    single = F.reshape(F.slice_axis(F.reshape(like, shape=(-1,)), axis=0, begin=0, end=1), (1, 1))
    return F.contrib.arange_like(F.repeat(F.zeros_like(single), repeats=count, axis=1), axis=1)


def take(F: Namespace, data: Tensor, index: Tensor) -> Tensor:
    """Returns the elements (B, S) of data (B, N) at index (B, S), image by image."""
    return F.squeeze(gather_rows(F, F.expand_dims(data, axis=2), index), axis=2)


def descending(F: Namespace, keys: Tensor) -> Tensor:
    """Returns the positions (B, N), as float32, of finite keys (B, N) in descending order.

    Equal keys keep their order, which argsort and topk alone do not guarantee: a float64 has 29
    more bits than a float32, and the position goes into these (N < 2^24).
    """
    keys = F.cast(keys, dtype="float64")
    position = F.cast(F.contrib.arange_like(keys, axis=1), dtype="float64")
    # The second term separates zeros: as a float64 it is above 0, and it is far below any float32.
    gap = F.abs(keys) * 2.0**-49 + 2.0**-200
    keys = keys - F.broadcast_mul(gap, F.expand_dims(position, axis=0))
    return F.argsort(keys, axis=1, is_ascend=False)


def label_ids(F: Namespace, labels: Tensor) -> Tensor:
    """Returns integers (B, N) >= 0 that are equal if labels (B, N) are; NaN equals NaN.

    box_nms needs them, because it rounds the labels that it gets and drops rows with the label -1.
    """
    labels = F.where(labels == labels, labels, F.ones_like(labels) * LARGEST)
    ordered = F.sort(labels, axis=1)
    first = F.slice_axis(ordered, axis=1, begin=0, end=1)
    before = F.slice_axis(F.concat(first, ordered, dim=1), axis=1, begin=0, end=-1)
    ids = F.cumsum(F.broadcast_not_equal(ordered, before), axis=1)
    return take(F, ids, F.argsort(F.argsort(labels, axis=1), axis=1))

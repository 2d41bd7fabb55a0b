"""Masks of objects under RoIs, and masks of RoIs in the image."""

from detkit.ops.arrays import extent
from detkit.ops.fallback.arrays import steps
from detkit.ops.fallback.rois import clean_rois
from detkit.typing import Namespace, Tensor


def mask_target(F: Namespace, masks: Tensor, rois: Tensor, index: Tensor, size: int) -> Tensor:
    """Computes detkit_mask_target: (B, R, M, M), M = size.

    masks: (B, G, H, W). rois: (B, R, 4). index: (B, R), the object of each RoI.
    """
    masks, index = F.cast(masks, dtype="float32"), F.cast(index, dtype="float32")
    numbers = F.slice(masks, begin=(None, None, 0, 0), end=(None, None, 1, 1))
    numbers = F.contrib.arange_like(F.reshape(numbers, shape=(0, 0)))
    first = F.slice_axis(numbers, axis=1, begin=0, end=1)
    count = F.reshape(extent(F, masks, axis=1), shape=(1, 1))
    real = (index >= 0) * F.broadcast_lesser(index, count)
    plane = F.broadcast_add(index * real, first)
    rows = F.concat(F.expand_dims(plane, axis=2), *clean_rois(F, rois), dim=2)
    planes = F.expand_dims(F.reshape(masks, shape=(-3, 0, 0)), axis=1)
    covered = F.contrib.ROIAlign(
        planes != 0,
        F.reshape(rows, shape=(-3, 0)),
        pooled_size=(size, size),
        spatial_scale=1.0,
        sample_ratio=-1,
        aligned=True,
    )
    covered = F.broadcast_mul(covered, F.reshape(real, shape=(-1, 1, 1, 1)))
    return F.reshape_like(covered, index, lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=2)


def mask_paste(
    F: Namespace, probabilities: Tensor, boxes: Tensor, height: int, width: int
) -> Tensor:
    """Computes detkit_mask_paste: (N, H, W) from probabilities (N, M, M) and boxes (N, 4)."""
    x1, y1, x2, y2 = clean_rois(F, boxes)
    wy = _resize_weights(F, probabilities, y1, y2, height)
    wx = _resize_weights(F, probabilities, x1, x2, width)
    return F.batch_dot(F.batch_dot(wy, probabilities), wx, transpose_b=True)


def _resize_weights(
    F: Namespace, probabilities: Tensor, begin: Tensor, end: Tensor, length: int
) -> Tensor:
    """Returns the weights (N, length, M) of a mask's cells for the pixels of an axis.

    begin, end: (N, 1), the borders of the boxes in pixels. The mask is padded by one cell of zeros
        on each side, so that its cells have the numbers -1 to M.
    """
    side = F.reshape(extent(F, probabilities, axis=1), shape=(1, 1))
    half = F.broadcast_mul((end - begin) * 0.5, F.broadcast_div(side + 2, side))
    centre = (begin + end) * 0.5
    begin, end = F.trunc(centre - half), F.trunc(centre + half)
    pixel = F.reshape(steps(F, begin, length), shape=(1, -1))
    inside = F.broadcast_greater_equal(pixel, begin) * F.broadcast_lesser_equal(pixel, end)
    at = F.broadcast_mul(
        F.broadcast_sub(pixel + 0.5, begin), F.broadcast_div(side + 2, end - begin + 1)
    )
    at = F.broadcast_minimum(F.maximum(at - 0.5, 0), side + 1) - 1
    cell = F.reshape(F.contrib.arange_like(probabilities, axis=1), shape=(1, 1, -1))
    weights = F.relu(1 - F.abs(F.broadcast_sub(F.expand_dims(at, axis=2), cell)))
    return F.broadcast_mul(weights, F.expand_dims(inside, axis=2))

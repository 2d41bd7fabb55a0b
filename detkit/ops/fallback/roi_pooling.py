"""RoI pooling from one map.

All functions pool features (B, C, H, W) at ``stride`` under rois (B, R, 4), which are in image
pixels, and return (B * R, C, P, P), P = size. The RoIs are cleaned as kernels.h defines.
"""

from detkit.ops.arrays import extent
from detkit.ops.fallback.arrays import steps, where_or
from detkit.ops.fallback.rois import batch_rois, clean_rois
from detkit.ops.fallback.separable import cells, contract, edges, mean_hat
from detkit.typing import Namespace, Tensor

OUTSIDE = -9.0  # cells; a sample there is outside of every map and its border, and counts as 0


def roi_align(
    F: Namespace,
    features: Tensor,
    rois: Tensor,
    size: int,
    stride: float,
    sampling: int,
    aligned: bool,
    mode: str = "average",
) -> Tensor:
    """Computes detkit_roi_align in the mode "average" or "max".

    The maximum needs sampling >= 1, because in a graph every RoI has the same number of samples.
    """
    if mode == "average":
        return F.contrib.ROIAlign(
            features,
            batch_rois(F, rois),
            pooled_size=(size, size),
            spatial_scale=1.0 / stride,
            sample_ratio=sampling or -1,
            aligned=aligned,
        )
    x1, y1, x2, y2 = (
        c * (1.0 / stride) - (0.5 if aligned else 0) for c in clean_rois(F, F.BlockGrad(rois))
    )
    ys = _align_samples(F, features, y1, y2, size * sampling, aligned, axis=2)
    xs = _align_samples(F, features, x1, x2, size * sampling, aligned, axis=3)
    return _largest_sample(F, features, ys, xs, size, sampling)


def _align_samples(
    F: Namespace, features: Tensor, begin: Tensor, end: Tensor, count: int, aligned: bool, axis: int
) -> Tensor:
    """Returns the positions (B, R, count) at which RoIAlign samples an axis, in cells."""
    side = end - begin
    side = side if aligned else F.maximum(side, 1)
    part = F.reshape(steps(F, begin, count) + 0.5, shape=(1, 1, -1))
    at = F.broadcast_add(begin, F.broadcast_mul(side, part) / count)
    length = F.reshape(extent(F, features, axis), shape=(1, 1, 1))
    within = (at >= -1) * F.broadcast_lesser_equal(at, length)
    clamped = F.broadcast_minimum(F.maximum(at, 0), length - 1)
    return where_or(F, within, clamped, OUTSIDE)


def crop_pool(F: Namespace, features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """Computes detkit_crop_pool; points outside of the map are 0, as in PyTorch's grid_sample."""
    x1, y1, x2, y2 = (c * (1.0 / stride) for c in clean_rois(F, F.BlockGrad(rois)))
    part = F.reshape(steps(F, x1, 2 * size), shape=(1, 1, -1))
    ys, xs = (
        F.broadcast_add(begin, F.broadcast_mul(end - begin, part) / (2 * size - 1))
        for begin, end in ((y1, y2), (x1, x2))
    )
    return _largest_sample(F, features, ys, xs, size, 2)


def _largest_sample(
    F: Namespace, features: Tensor, ys: Tensor, xs: Tensor, size: int, sampling: int
) -> Tensor:
    """Returns the largest of the sampling x sampling samples of each cell.

    ys, xs: (B, R, size * sampling), the positions of the samples in cells of the map.
    """
    count = size * sampling
    # The border of zeros is needed because BilinearSampler cannot address a map of one row.
    bordered = F.pad(features, mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    ys, xs = (
        F.broadcast_div(at + 1, F.reshape((extent(F, features, axis) + 1) / 2, (1, 1, 1))) - 1
        for at, axis in ((ys, 2), (xs, 3))
    )
    ys = F.repeat(F.expand_dims(ys, axis=3), repeats=count, axis=3)
    xs = F.repeat(F.expand_dims(xs, axis=2), repeats=count, axis=2)
    grid = F.reshape(F.stack(xs, ys, axis=1), shape=(0, 0, -3, 0))
    samples = F.BilinearSampler(bordered, F.BlockGrad(grid))  # (B, C, R * count, count)
    kernel = (sampling, sampling)
    pooled = F.Pooling(samples, kernel=kernel, stride=kernel, pool_type="max")
    pooled = F.reshape(pooled, shape=(0, 0, -4, -1, size, 0))
    return F.reshape(F.transpose(pooled, axes=(0, 2, 1, 3, 4)), shape=(-3, 0, 0, 0))


def roi_pool(
    F: Namespace, features: Tensor, rois: Tensor, size: int, stride: float, mode: str = "max"
) -> Tensor:
    """Computes detkit_roi_pool in the mode "max" or "average".

    The maximum is never below -3.4028235e38, even if a cell holds nothing but -inf or NaN. For NaN
    in the average see ``separable.contract``.
    """
    if mode == "max":
        return F.ROIPooling(
            features,
            batch_rois(F, rois),
            pooled_size=(size, size),
            spatial_scale=1.0 / stride,
        )
    x1, y1, x2, y2 = (F.round(c * (1.0 / stride)) for c in clean_rois(F, F.BlockGrad(rois)))
    wy = _shares(F, y1, y2, size, cells(F, features, axis=2))
    wx = _shares(F, x1, x2, size, cells(F, features, axis=3))
    return contract(F, features, wy, wx, size)


def _shares(F: Namespace, first: Tensor, last: Tensor, size: int, positions: Tensor) -> Tensor:
    """Returns the weights (B, R, P, L) of the average over the cells of each part of an RoI.

    first, last: (B, R, 1), the rounded borders of the RoI in cells. positions: (1, 1, 1, L).
    """
    side = F.maximum(last - first + 1, 1) / size
    part = F.reshape(steps(F, first, size), shape=(1, 1, -1))
    begin = F.broadcast_add(F.floor(F.broadcast_mul(side, part)), first)
    end = F.broadcast_add(F.ceil(F.broadcast_mul(side, part + 1)), first)
    inside = F.broadcast_lesser_equal(F.expand_dims(begin, axis=3), positions)
    inside = inside * F.broadcast_greater(F.expand_dims(end, axis=3), positions)
    return F.broadcast_div(inside, F.maximum(F.sum(inside, axis=3, keepdims=True), 1))


def prroi_pool(F: Namespace, features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """Computes detkit_prroi_pool, which is differentiable with respect to features and RoIs."""
    x1, y1, x2, y2 = (c * (1.0 / stride) for c in clean_rois(F, rois))
    wy = mean_hat(F, *edges(F, y1, y2, size), cells(F, features, axis=2))
    wx = mean_hat(F, *edges(F, x1, x2, size), cells(F, features, axis=3))
    return contract(F, features, wy, wx, size)

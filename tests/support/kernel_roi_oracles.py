"""detkit/ops/native/kernels.h in numpy: RoI pooling of four kinds, its gradients, masks.

Every kind of pooling is one rule: a cell has samples, a sample is a weighted sum of a few places
of the map, and the cell is the average or the largest of its samples. The gradient of the features
goes back along the same weights. All is float64 except for what kernels.h makes of the corners of
an RoI, and for the edges of RoIPool's cells, which no float64 would round alike.
"""

import math
from typing import NamedTuple, Sequence

import numpy as np

F32 = np.float32


class Geometry(NamedTuple):
    """DetkitRoIs without what the shapes of the arrays tell."""

    size: int
    scales: Sequence[float]
    first_level: int = 0
    canonical_level: int = 4
    canonical_size: float = 224.0
    level_margin: float = 0.0


def clean(boxes):
    """The comment above DetkitRoIs: boxes (..., 4), in float32."""
    boxes = np.asarray(boxes, "float32")
    boxes = np.clip(np.where(np.isfinite(boxes), boxes, F32(0)), F32(-1e4), F32(1e4))
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2] + F32(1e-2))
    return boxes


def level_of(geometry, box):
    """The comment below DetkitRoIs: the position of a cleaned box's level among all."""
    x1, y1, x2, y2 = box.astype("float64")
    margin = geometry.level_margin
    size = math.sqrt((x2 - x1 + margin) * (y2 - y1 + margin))
    level = math.floor(geometry.canonical_level + math.log2(size / geometry.canonical_size) + 1e-6)
    return min(max(level - geometry.first_level, 0), len(geometry.scales) - 1)


# ------------------------------------------------------------ samples of the cells of one RoI


def align_cells(sampling, aligned):
    """detkit_roi_align: a function of corners in cells, size, height, width that yields samples."""

    def cells(corners, size, height, width):
        shift = 0.5 if aligned else 0.0
        x1, y1, x2, y2 = (float(c) - shift for c in corners)
        w, h = (side if aligned else max(side, 1.0) for side in (x2 - x1, y2 - y1))
        down, across = (sampling or max(math.ceil(side / size), 1) for side in (h, w))
        for row, column in np.ndindex(size, size):
            ys = [y1 + (row + (j + 0.5) / down) * h / size for j in range(down)]
            xs = [x1 + (column + (i + 0.5) / across) * w / size for i in range(across)]
            yield row, column, [_clamped(y, x, height, width) for y in ys for x in xs]

    return cells


def _clamped(y, x, height, width):
    if not (-1 <= y <= height and -1 <= x <= width):
        return []
    return _hats(min(max(y, 0), height - 1), min(max(x, 0), width - 1), height, width)


def _hats(y, x, height, width):
    """(row, column, weight) of the up to four places around a point; none outside of the map."""
    top, left = math.floor(y), math.floor(x)
    return [
        (row, column, (1 - abs(y - row)) * (1 - abs(x - column)))
        for row in (top, top + 1)
        for column in (left, left + 1)
        if 0 <= row < height and 0 <= column < width and abs(y - row) < 1 and abs(x - column) < 1
    ]


def pool_cells(corners, size, height, width):
    """detkit_roi_pool."""
    x1, y1, x2, y2 = (int(np.sign(c)) * math.floor(abs(float(c)) + 0.5) for c in corners)
    for row, column in np.ndindex(size, size):
        ys = _bin(y1, y2, row, size, height)
        xs = _bin(x1, x2, column, size, width)
        yield row, column, [[(y, x, 1.0)] for y in ys for x in xs]


def _bin(first, last, index, size, limit):
    side = F32(max(last - first + 1, 1)) / F32(size)
    begin = first + int(np.floor(F32(index) * side))
    end = first + int(np.ceil(F32(index + 1) * side))
    return range(min(max(begin, 0), limit), min(max(end, 0), limit))


def precise_cells(corners, size, height, width):
    """detkit_prroi_pool: one sample, the integral of the surface over the cell by its area."""
    x1, y1, x2, y2 = (float(c) for c in corners)
    h, w = (y2 - y1) / size, (x2 - x1) / size
    for row, column in np.ndindex(size, size):
        ys = [(j, _mean_hat(y1 + row * h - j, y1 + (row + 1) * h - j)) for j in range(height)]
        xs = [(i, _mean_hat(x1 + column * w - i, x1 + (column + 1) * w - i)) for i in range(width)]
        yield row, column, [[(y, x, v * u) for y, v in ys for x, u in xs if v * u]]


def _mean_hat(begin, end):
    """The mean of max(0, 1 - |t|) over begin..end, exactly: the trapezia left and right of 0."""
    total = 0.0
    for low, high in ((begin, end), (-end, -begin)):
        low, high = max(low, -1.0), min(high, 0.0)
        if high > low:
            total += (high - low) * (1 + (low + high) / 2)
    return total / (end - begin)


def crop_cells(corners, size, height, width):
    """detkit_crop_pool: places outside of the map count as 0, as grid_sample has it."""
    x1, y1, x2, y2 = (float(c) for c in corners)
    ys = [y1 + (y2 - y1) * k / (2 * size - 1) for k in range(2 * size)]
    xs = [x1 + (x2 - x1) * k / (2 * size - 1) for k in range(2 * size)]
    for row, column in np.ndindex(size, size):
        own_ys, own_xs = ys[2 * row : 2 * row + 2], xs[2 * column : 2 * column + 2]
        yield row, column, [_hats(y, x, height, width) for y in own_ys for x in own_xs]


# ------------------------------------------------------------------------- pooling, gradients


def _visits(cells, geometry, features, rois):
    """(r, level, image, row, column, samples) of every cell of the RoIs that have an image."""
    boxes = clean(rois[:, 1:])
    for r, image in enumerate(rois[:, 0]):
        if image in range(len(features[0])):
            level = level_of(geometry, boxes[r])
            corners = boxes[r] * F32(geometry.scales[level])
            shape = features[level].shape[2:]
            for row, column, samples in cells(corners, geometry.size, *shape):
                yield r, level, int(image), row, column, samples


def _values(samples, plane):
    """(S,) of one channel's plane (H, W)."""
    return [sum(weight * float(plane[y, x]) for y, x, weight in sample) for sample in samples]


def _largest(values):
    """The first of the largest; NaN is never larger than a number."""
    return max(range(len(values)), key=lambda s: -np.inf if np.isnan(values[s]) else values[s])


def pool(cells, mode, geometry, features, rois):
    """(R, C, P, P): features is a list of (B, C, H, W), one per level, rois (R, 5).

    cells is align_cells(sampling, aligned), pool_cells, precise_cells or crop_cells; mode "max"
    or "average" (precise_cells: "average", crop_cells: "max").
    """
    channels = features[0].shape[1]
    out = np.zeros((len(rois), channels, geometry.size, geometry.size))
    for r, level, image, row, column, samples in _visits(cells, geometry, features, rois):
        for c in range(channels if samples else 0):
            values = _values(samples, features[level][image, c])
            out[r, c, row, column] = (
                values[_largest(values)] if mode == "max" else sum(values) / len(values)
            )
    return out


def pool_backward(cells, mode, geometry, features, rois, grad_out):
    """A list of (B, C, H, W): the gradients of the features of each level."""
    grads = [np.zeros(maps.shape) for maps in features]
    for r, level, image, row, column, samples in _visits(cells, geometry, features, rois):
        for c in range(grad_out.shape[1] if samples else 0):
            used, share = samples, float(grad_out[r, c, row, column]) / len(samples)
            if mode == "max":
                used = [samples[_largest(_values(samples, features[level][image, c]))]]
                share = float(grad_out[r, c, row, column])
            for y, x, weight in (place for sample in used for place in sample):
                grads[level][image, c, y, x] += share * weight
    return grads


def precise_backward_rois(geometry, features, rois, grad_out, step=1e-5):
    """detkit_prroi_pool_backward's grad_rois (R, 5), by central differences in float64.

    The pooled value has a continuous first derivative, so they are right at the cells' borders too.
    """
    grads = np.zeros(rois.shape)
    boxes = clean(rois[:, 1:])
    for r, image in enumerate(rois[:, 0]):
        if image not in range(len(features[0])):
            continue
        level = level_of(geometry, boxes[r])
        scale, maps = float(F32(geometry.scales[level])), features[level][int(image)]
        for k in np.flatnonzero(boxes[r] == rois[r, 1:]):
            moved = np.eye(4)[k] * step
            higher, lower = (
                (_precise(maps, (boxes[r] + sign * moved) * scale, geometry.size) * grad_out[r])
                for sign in (1, -1)
            )
            grads[r, 1 + k] = (higher - lower).sum() / (2 * step)
    return grads


def _precise(maps, corners, size):
    out = np.zeros((len(maps), size, size))
    for row, column, (sample,) in precise_cells(corners, size, *maps.shape[1:]):
        for y, x, weight in sample:
            out[:, row, column] += weight * maps[:, y, x].astype("float64")
    return out


# ------------------------------------------------------------------------------------- masks


def mask_target(masks, rois, index, size):
    """detkit_mask_target: masks (B, G, H, W), rois (B, R, 4), index (B, R) -> (B, R, M, M)."""
    out = np.zeros((*index.shape, size, size))
    for b, r in np.ndindex(*index.shape):
        if index[b, r] in range(masks.shape[1]):
            covered = (masks[b : b + 1, index[b, r]] != 0).astype("float64")[None]
            roi = np.concatenate([[0], rois[b, r]]).astype("float32")[None]
            cells = align_cells(sampling=0, aligned=True)
            out[b, r] = pool(cells, "average", Geometry(size, [1.0]), [covered], roi)[0, 0]
    return out


def mask_paste(probabilities, boxes, height, width):
    """detkit_mask_paste: probabilities (N, M, M), boxes (N, 4) -> (N, H, W).

    Every box is cleaned as an RoI is, so that none is inverted; corners are cut towards 0.
    """
    out = np.zeros((len(boxes), height, width))
    for n, (mask, box) in enumerate(zip(probabilities, clean(boxes).astype("float64"))):
        size = len(mask)
        grown = np.pad(mask.astype("float64"), 1)
        half = (box[2:] - box[:2]) / 2 * (size + 2) / size
        centre = (box[2:] + box[:2]) / 2
        (x1, y1), (x2, y2) = (
            np.trunc(centre - half).astype(int),
            np.trunc(centre + half).astype(int),
        )
        for y in range(max(y1, 0), min(y2 + 1, height)):
            for x in range(max(x1, 0), min(x2 + 1, width)):
                v = (y - y1 + 0.5) * (size + 2) / (y2 - y1 + 1) - 0.5
                u = (x - x1 + 0.5) * (size + 2) / (x2 - x1 + 1) - 0.5
                v, u = (min(max(c, 0), size + 1) for c in (v, u))
                places = _hats(v, u, size + 2, size + 2)
                out[n, y, x] = sum(weight * grown[j, i] for j, i, weight in places)
    return out

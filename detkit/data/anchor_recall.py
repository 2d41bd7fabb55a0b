"""The recall of anchors: the share of objects that reach an IoU with at least one of them.

Two figures tell two faults apart. The best possible recall compares shapes around one centre, and
is low if sizes or ratios do not fit. The recall on the grid is lower if the strides are too large
for the objects, or if anchors at the border are not trained on.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit.data.anchor_sizes import shape_iou
from detkit.data.batch import round_up

THRESHOLDS = (0.5, 0.7)  # the IoU of a match in RetinaNet, and in an RPN
_ROUNDS = 100  # of k-means


class Grid(NamedTuple):
    """Anchors of A shapes at the cells of maps.

    sides: (A, 2) widths and heights in pixels. strides: (A,) pixels between two cells.
    offset: the place of a centre in its cell, in strides.
    straddle: the pixels by which an anchor may cross the image's border; None: any number.
    pad_multiple: the number that the sides of the network's input are multiples of.
    """

    sides: np.ndarray
    strides: np.ndarray
    offset: float = 0.5
    straddle: Optional[float] = None
    pad_multiple: int = 32


def recall_of(iou: np.ndarray) -> Tuple[float, ...]:
    """Returns the recall at each of THRESHOLDS for the largest IoU (M,) of each object."""
    return tuple(float((iou >= threshold).mean()) for threshold in THRESHOLDS)


def centred_iou(boxes: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Returns the largest IoU (M,) of boxes (M, 4) with anchors (A, 2) around the same centres."""
    best: np.ndarray = shape_iou(boxes[:, 2:] - boxes[:, :2], sides).max(axis=1)
    return best


def grid_iou(boxes: np.ndarray, sizes: np.ndarray, grid: Grid) -> np.ndarray:
    """Returns the largest IoU (M,) of boxes (M, 4) with the anchors of a grid.

    sizes: (M, 2), height and width of the image of each box in pixels. Of all anchors of a shape,
    the one with the nearest centre overlaps a box most, so that no other one is computed.
    """
    best = np.zeros(len(boxes))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for side, stride in zip(grid.sides, grid.strides):
        overlap = np.ones(len(boxes))
        for axis in (0, 1):
            overlap *= _overlap(boxes[:, axis::2], sizes[:, 1 - axis], side[axis], stride, grid)
        best = np.maximum(best, overlap / (areas + side.prod() - overlap))
    return best


def _overlap(
    ends: np.ndarray, lengths: np.ndarray, side: float, stride: float, grid: Grid
) -> np.ndarray:
    """Returns the overlap (M,) in pixels with the nearest anchor along an axis, 0 without any.

    ends: (M, 2) of the boxes along the axis. lengths: (M,) of their images.
    """
    padded = np.array([round_up(int(length), grid.pad_multiple) for length in lengths])
    first, last = np.zeros(len(ends)), np.ceil(padded / stride) - 1
    if grid.straddle is not None:
        within = side / 2 - grid.straddle
        first = np.maximum(first, np.ceil(within / stride - grid.offset))
        last = np.minimum(last, np.floor((lengths - within) / stride - grid.offset))
    nearest = np.rint(ends.mean(axis=1) / stride - grid.offset)
    centres = (np.clip(nearest, first, np.maximum(first, last)) + grid.offset) * stride
    shared = np.minimum(ends[:, 1], centres + side / 2) - np.maximum(ends[:, 0], centres - side / 2)
    overlap: np.ndarray = np.where(first <= last, np.maximum(shared, 0), 0)
    return overlap


def k_means_shapes(boxes: np.ndarray, count: int) -> np.ndarray:
    """Returns ``count`` widths and heights that fit boxes (M, 4), sorted by area.

    It is k-means with the distance 1 - IoU (Redmon and Farhadi 2017, section 2, "dimension
    clusters"), which begins with quantiles of the areas. The shapes are free of a grid of sizes and
    ratios, so that their recall bounds what an AnchorGrid of as many anchors is likely to reach.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    by_area = sides[np.argsort(sides.prod(axis=1), kind="stable")]
    places = ((np.arange(count) + 0.5) / count * len(by_area)).astype(int)
    centres, before = by_area[places].astype(np.float64), None
    for _ in range(_ROUNDS):
        nearest = shape_iou(sides, centres).argmax(axis=1)
        if before is not None and (nearest == before).all():
            break
        before = nearest
        groups: Sequence[np.ndarray] = [sides[nearest == group] for group in range(count)]
        centres = np.array([g.mean(axis=0) if len(g) else c for g, c in zip(groups, centres)])
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]

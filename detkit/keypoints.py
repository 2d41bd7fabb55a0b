"""Pure functions on keypoints and heatmaps: encode and decode; and the keypoints of COCO's persons.

A heatmap has M x M cells over a RoI, and the logit of a cell says how likely a keypoint lies in it.
``encode`` takes ``F`` (mx.nd or mx.sym) first and works within a graph, as the functions of
detkit/boxes.py do. ``decode`` works on numpy arrays: the heatmaps of a whole dataset would not fit
into memory, and a graph cannot resize each of them to another number of pixels.
"""

import math
from typing import List, Sequence

import cv2
import numpy as np

from detkit.boxes import corners
from detkit.constants import MIN_UNION
from detkit.typing import Namespace, Tensor

# COCO's 17 keypoints of a person (https://cocodataset.org/#keypoints-eval): nose, then left and
# right eye, ear, shoulder, elbow, wrist, hip, knee, ankle. The sigmas are those of OKS.
PERSON_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
PERSON_SKELETON = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
MOST_KEYPOINTS = 512  # of an object, in any file
MIDDLE = 0.5  # pixels: COCO states the pixel of a keypoint, detkit the middle of that pixel
NOT_TRAINED = -1  # the cell of a keypoint that is not labelled, or lies outside of the RoI


def encode(F: Namespace, keypoints: Tensor, rois: Tensor, size: int) -> Tensor:
    """Returns the cells (B, R, J) of keypoints in the heatmaps of their RoIs, or NOT_TRAINED.

    Cells are counted row by row, 0..M * M - 1. A keypoint on the right or the lower side of its RoI
    belongs to the last cell, as in torchvision and Detectron2.

    keypoints: (B, R, J, 3) x, y and flag, above 0 if labelled. rois: (B, R, 4). Both in pixels.
    size: M.
    """
    x, y, flags = F.split(keypoints, num_outputs=3, axis=-1)
    x1, y1, x2, y2 = corners(F, F.expand_dims(rois, axis=2))
    column, row = _cell(F, x, x1, x2, size), _cell(F, y, y1, y2, size)
    inside = (column >= 0) * (column < size) * (row >= 0) * (row < size) * (flags > 0)
    cell = row * size + column
    return F.squeeze(F.where(inside, cell, F.ones_like(cell) * NOT_TRAINED), axis=-1)


def _cell(F: Namespace, at: Tensor, low: Tensor, high: Tensor, size: int) -> Tensor:
    """Returns the column or row of points (B, R, J, 1), -1 or M if outside of [low, high]."""
    share = F.broadcast_div(F.broadcast_sub(at, low), F.maximum(high - low, MIN_UNION))
    cell = F.clip(F.floor(share * size), -1, size)
    return cell - F.broadcast_equal(at, high) * (cell == size)


def decode(heatmaps: np.ndarray, boxes: np.ndarray, size: Sequence[float]) -> np.ndarray:
    """Returns the keypoints (n, J, 3), x and y in pixels and a score, of n boxes.

    A heatmap is resized to the whole pixels of its box by a bicubic interpolation of the logits; a
    keypoint is the middle of the pixel with the largest one, as in torchvision and Detectron2. Its
    score is Detectron2's: the softmax of that logit among the M x M cells, at most 1.

    heatmaps: (n, J, M, M) logits. boxes: (n, 4) in pixels. size: (height, width) of the image in
        pixels, which limits the sides of a box.
    """
    found = np.zeros((*heatmaps.shape[:2], 3), np.float32)
    for maps, (x1, y1, x2, y2), points in zip(heatmaps, boxes, found):
        width, height = np.clip((x2 - x1, y2 - y1), 1, np.maximum(size, 1)[::-1]).tolist()
        columns, rows = math.ceil(width), math.ceil(height)
        for heatmap, point in zip(maps, points):
            resized = cv2.resize(heatmap, (columns, rows), interpolation=cv2.INTER_CUBIC)
            row, column = divmod(int(resized.argmax()), columns)
            x, y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
            point[:] = x1 + x, y1 + y, resized[row, column]
    largest = heatmaps.max(axis=(2, 3), initial=-np.inf)
    sums = np.exp(heatmaps - largest[..., None, None]).sum(axis=(2, 3))
    found[..., 2] = np.minimum(np.exp(found[..., 2] - largest) / sums, 1)
    return found


def from_coco(values: Sequence[float]) -> np.ndarray:
    """Returns keypoints (J, 3) float32 of ``keypoints`` in a file of COCO: x, y, a number, ..."""
    points = np.array(values, np.float64).reshape(-1, 3)
    points[:, :2] += MIDDLE
    return points.astype(np.float32)


def to_coco(points: np.ndarray) -> List[float]:
    """Returns the ``keypoints`` of a file of COCO of keypoints (J, 3), see from_coco."""
    values = points.astype(np.float64)
    values[:, :2] -= MIDDLE
    flat: List[float] = values.ravel().tolist()
    return flat

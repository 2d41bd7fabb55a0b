"""The IoU of boxes in numpy, for comparing detections without compiled operators."""

from typing import Tuple

import numpy as np


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the IoU (n, m) float64 of boxes (n, 4) and others (m, 4).

    There is no +1; the IoU of two boxes without area is 0.
    """
    return aligned_iou(boxes[:, None], others[None])


def aligned_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the IoU (...) float64 of boxes (..., 4) and others (..., 4), each with its own."""
    intersection, area, other_area = _areas(boxes, others)
    return _share(intersection, area + other_area - intersection)


def share_within(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the share (n, m) float64 of the area of boxes (n, 4) that is within others (m, 4).

    It is COCO's overlap of a detection with a crowd. The share of a box without area is 0.
    """
    return aligned_share(boxes[:, None], others[None])


def aligned_share(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the share (...) float64 of boxes (..., 4) within others (..., 4), each its own."""
    intersection, area, _ = _areas(boxes, others)
    return _share(intersection, np.broadcast_to(area, intersection.shape))


def _areas(boxes: np.ndarray, others: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the areas (...) of the intersections, of the boxes (..., 4) and of the others."""
    boxes, others = boxes.astype(np.float64), others.astype(np.float64)
    upper = np.minimum(boxes[..., 2:], others[..., 2:])
    lower = np.maximum(boxes[..., :2], others[..., :2])
    area, other_area = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, others))
    return np.maximum(upper - lower, 0).prod(-1), area, other_area


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share: np.ndarray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share

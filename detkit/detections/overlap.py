"""The IoU of boxes in numpy, for comparing detections without compiled operators."""

import numpy as np


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the IoU (n, m) float64 of boxes (n, 4) and others (m, 4).

    There is no +1; the IoU of two boxes without area is 0.
    """
    boxes, others = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]
    upper = np.minimum(boxes[..., 2:], others[..., 2:])
    lower = np.maximum(boxes[..., :2], others[..., :2])
    intersection = np.maximum(upper - lower, 0).prod(-1)
    area, other_area = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, others))
    union = area + other_area - intersection
    iou: np.ndarray = np.divide(
        intersection, union, out=np.zeros_like(intersection), where=union > 0
    )
    return iou

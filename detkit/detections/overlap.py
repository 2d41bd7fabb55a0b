"""IoU of boxes in numpy: for what compares detections, without an operator to compile."""

import numpy as np


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, 4) and (m, 4) -> (n, m) float64: IoU without +1, 0 where both boxes are empty."""
    boxes, others = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]
    upper = np.minimum(boxes[..., 2:], others[..., 2:])
    lower = np.maximum(boxes[..., :2], others[..., :2])
    intersection = np.maximum(upper - lower, 0).prod(-1)
    area, other_area = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, others))
    union = area + other_area - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)

"""Whether two sides find the same objects."""

import numpy as np

IOU, SCORE = 0.95, 0.02  # from which two detections of one label are the same; scores apart at most


def share(path, other):
    """The share of the detections of two files that the other has too, the smaller of both.

    Files as protocol.Answers.found writes them. 1 where neither has found anything.
    """
    found, others = read(path), read(other)
    if len(found) != len(others):
        raise ValueError(f"{len(found)} and {len(others)} images")
    same = [matches(*pair) for pair in zip(found, others)]
    shares = []
    for axis in (1, 0):
        hits = np.concatenate([matrix.any(axis) for matrix in same])
        shares.append(hits.mean() if len(hits) else 1.0)
    return float(min(shares))


def read(path):
    """[(boxes, scores, labels)] of each image."""
    with np.load(path) as file:
        count = len(file.files) // 3
        return [
            tuple(file[f"{name}_{n}"] for name in ("boxes", "scores", "labels"))
            for n in range(count)
        ]


def matches(found, others):
    """(n, m) of bool: which detections of one image are which of the other's."""
    (boxes, scores, labels), (other_boxes, other_scores, other_labels) = found, others
    return (
        (labels[:, None] == other_labels)
        & (np.abs(scores[:, None] - other_scores) <= SCORE)
        & (iou(boxes, other_boxes) >= IOU)
    )


def iou(boxes, others):
    """(n, m): intersection over union of boxes (n, 4) and (m, 4)."""
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas, other_areas = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    return common / np.maximum(areas[:, None] + other_areas - common, 1e-9)

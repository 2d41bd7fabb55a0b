"""The confusion matrix of a detector, with the background, at many thresholds at once."""

from typing import Any, Dict, Sequence

import numpy as np

from detkit.analysis.matches import IGNORED, IOU, Matches

THRESHOLDS = tuple((np.arange(1, 20) / 20).tolist())  # 0.05, 0.1, ..., 0.95


def confusion(matches: Matches, thresholds: Sequence[float] = THRESHOLDS) -> np.ndarray:
    """Returns the confusion matrices (T, K + 1, K + 1) int of the detections from each threshold.

    thresholds: (T,) rising.

    A row is the class of an object, a column that of its detection. The last row is the background,
    to which the detections without an object belong, and the last column the objects that are
    missed. A row of a class sums to its objects. A column sums to the detections of the class
    whose scores are at least the threshold, without those that do not count.

    Raises ValueError for thresholds that do not rise.
    """
    if list(thresholds) != sorted(thresholds):
        raise ValueError(f"thresholds: expected rising numbers, found {list(thresholds)}")
    classes, counts = len(matches.objects), matches.found != IGNORED
    rows, columns = matches.found[counts], matches.labels[counts]
    # A match depends on better detections alone, so that all thresholds share the matches.
    scores = matches.scores[counts]
    reached = np.searchsorted(np.asarray(thresholds, scores.dtype), scores, side="right")
    shape = (len(thresholds) + 1, classes + 1, classes + 1)
    matrix = np.zeros(shape, np.int64)
    np.add.at(matrix, (reached, rows, columns), 1)  # row -1, NOTHING, is the background
    matrix = matrix[::-1].cumsum(0)[-2::-1]
    matrix[:, :-1, -1] = matches.objects - matrix[:, :-1].sum(2)
    return matrix


def confusion_json(matches: Matches, threshold: float) -> Dict[str, Any]:
    """Returns the matrices at THRESHOLDS and at one more as lists."""
    thresholds = sorted({*THRESHOLDS, threshold})
    counts = confusion(matches, thresholds).tolist()
    return {"iou": IOU, "thresholds": thresholds, "counts": counts}

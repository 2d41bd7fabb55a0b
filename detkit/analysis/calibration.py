"""Calibration: whether a score is the probability that the detection is a hit."""

from typing import Any, Dict, Sequence, Tuple

import numpy as np

from detkit.analysis.curves import plain
from detkit.evaluate.hits import ClassHits, pooled

BINS = 10


def reliability(
    scores: np.ndarray, hit: np.ndarray, bins: int = BINS
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the number of detections, their mean score and precision in equal bins of [0, 1].

    scores: (n,); a score outside [0, 1] is in the first or the last bin. A score at the edge of two
        bins is in the upper one.
    hit: (n,) bool.

    The three arrays are (bins,); the last two are nan in a bin without detections.
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1].astype(np.float32)
    places = np.searchsorted(edges, scores, side="right")
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_scores = np.bincount(places, weights=scores, minlength=bins) / counts
        precision = np.bincount(places, weights=hit, minlength=bins) / counts
    return counts, mean_scores, precision


def calibration_error(scores: np.ndarray, hit: np.ndarray, bins: int = BINS) -> float:
    """Returns the expected calibration error, ECE (Guo et al., 2017, section 2).

    It is the mean distance of score and precision over the bins, weighted by their detections. It
    is nan without detections.
    """
    counts, mean_scores, precision = reliability(scores, hit, bins)
    if not counts.sum():
        return float("nan")
    return float(np.nansum(counts * np.abs(mean_scores - precision)) / counts.sum())


def calibration(classes: Sequence[ClassHits], class_names: Sequence[str]) -> Dict[str, Any]:
    """Returns bins and ECE of all detections that count, and the ECE of each class, for JSON."""
    together = pooled(classes)
    counts, scores, precision = reliability(together.scores, together.hit)
    edges = np.linspace(0, 1, BINS + 1).round(3).tolist()
    rows = zip(edges, edges[1:], counts.tolist(), plain(scores), plain(precision))
    per_class = {
        name: plain(calibration_error(one.scores, one.hit))
        for name, one in zip(class_names, classes)
    }
    return {
        "bins": [dict(zip(("low", "high", "count", "score", "precision"), row)) for row in rows],
        "ece": plain(calibration_error(together.scores, together.hit)),
        "per_class": per_class,
    }

"""Precision, recall and F1 against the threshold of the score, and the areas below them."""

from typing import Any, Dict, NamedTuple

import numpy as np

from detkit.evaluate.hits import ClassHits

COCO_RECALLS = np.linspace(0, 1, 101)  # at which COCO takes the precision
POINTS = 400
STEP = 0.005  # thresholds that are multiples of it are exact in a thinned curve


class Curve(NamedTuple):
    """The figures of the detections whose scores are at least a threshold, for n thresholds.

    scores: (n,) the thresholds, falling, each another: the scores of the detections.
    hits, detections: (n,) int, the numbers of hits and of detections.
    objects: the number of objects.
    """

    scores: np.ndarray
    hits: np.ndarray
    detections: np.ndarray
    objects: int

    @property
    def precision(self) -> np.ndarray:
        """The share (n,) of the detections that are hits."""
        return self.hits / self.detections

    @property
    def recall(self) -> np.ndarray:
        """The share (n,) of the objects that are found; nan without objects."""
        return self.hits / self.objects if self.objects else np.full(len(self.hits), np.nan)

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean (n,) of precision and recall; nan without objects."""
        both = self.detections + self.objects
        return 2 * self.hits / both if self.objects else np.full(len(self.hits), np.nan)

    def take(self, rows: np.ndarray) -> "Curve":
        """Returns the curve at some of its thresholds."""
        return Curve(self.scores[rows], self.hits[rows], self.detections[rows], self.objects)

    def to_json(self, name: str) -> Dict[str, Any]:
        """Returns the figures as lists, with None for nan."""
        return {
            "name": name,
            "scores": [as_written(score) for score in self.scores],
            "precision": self.precision.tolist(),
            "recall": plain(self.recall),
            "f1": plain(self.f1),
            "hits": self.hits.tolist(),
            "detections": self.detections.tolist(),
            "objects": self.objects,
        }


def plain(values: Any) -> Any:
    """Returns an array (n,) as a list, or a number, with None for nan, which JSON does not have."""
    if np.ndim(values):
        return [plain(value) for value in values]
    return None if np.isnan(values) else float(values)


def as_written(score: float) -> float:
    """Returns a float32 score as the shortest number that stands for it: 0.35, not 0.34999999."""
    return float(str(np.float32(score)))


def curve_of(hits: ClassHits) -> Curve:
    """Returns the curve of hits: a threshold takes all detections of equal scores, or none."""
    last = np.flatnonzero(np.append(hits.scores[1:] != hits.scores[:-1], True)[: len(hits.scores)])
    return Curve(hits.scores[last], np.cumsum(hits.hit)[last], last + 1, hits.objects)


def best_f1(curve: Curve) -> Dict[str, Any]:
    """Returns the threshold of the largest F1 with its figures, the highest one if several have it.

    All are None without objects or without detections.
    """
    if not curve.objects or not len(curve.scores):
        return dict.fromkeys(("threshold", "precision", "recall", "f1"))
    best = int(curve.f1.argmax())
    return {
        "threshold": as_written(curve.scores[best]),
        "precision": float(curve.precision[best]),
        "recall": float(curve.recall[best]),
        "f1": float(curve.f1[best]),
    }


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """Returns the curve at no more than ``points`` of its thresholds.

    The figures at a threshold t are those of the last score that is at least t. They are exact for
    every multiple of ``STEP`` in [0, 1], for the largest F1, and at both ends. The other points are
    spread evenly over the length of the curve of precision and recall.

    Raises ValueError for fewer points than that takes.
    """
    least = round(1 / STEP) + 4
    if points < least:
        raise ValueError(f"points: expected at least {least}, found {points}")
    if len(curve.scores) <= points:
        return curve
    falling = -curve.scores
    steps = (np.arange(round(1 / STEP) + 1) * STEP).astype(np.float32)  # as the scores are
    rows = {*(np.searchsorted(falling, -steps, side="right") - 1).tolist(), 0, len(falling) - 1}
    rows = {row for row in rows if row >= 0} | {int(curve.f1.argmax())}
    moves = [np.abs(np.diff(values)) for values in (curve.precision, curve.hits / curve.hits[-1:])]
    length = np.append(0, np.cumsum(np.maximum(*np.nan_to_num(moves))))
    spread = np.linspace(0, length[-1], points - len(rows))
    rows |= set(np.searchsorted(length, spread).tolist())
    return curve.take(np.array(sorted(rows)))


def area(hits: ClassHits) -> float:
    """Returns VOC's AP of 2010 and later: the area below the best precision at a recall or above.

    It is nan without objects.
    """
    return _mean_precision(hits, hits.recall) if hits.objects else float("nan")


def mean_precision(hits: ClassHits, recalls: np.ndarray = COCO_RECALLS) -> float:
    """Returns COCO's AP: the mean of the best precision at each of some recalls or above.

    recalls: rising. It is nan without objects.
    """
    if not hits.objects:
        return float("nan")
    return _mean_precision(hits, np.searchsorted(recalls, hits.recall, side="right") / len(recalls))


def _mean_precision(hits: ClassHits, share: np.ndarray) -> float:
    """Returns the mean of the best precision over the shares of the curve that are reached."""
    envelope = np.maximum.accumulate(hits.precision[::-1])[::-1]
    return float(np.sum(np.diff(share, prepend=0) * envelope))

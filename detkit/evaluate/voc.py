"""Pascal VOC's average precision."""

from typing import Any, Dict, List, Literal, NamedTuple, Sequence

import numpy as np

from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.detections.overlap import pairwise_iou
from detkit.evaluate.metrics import mean
from detkit.registry import EVALUATORS

COCO_IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
NOTHING = -1  # the best object of a detection in an image without objects of its class


class _Class(NamedTuple):
    """One class's n detections over all images, best score first, and its G objects."""

    iou: np.ndarray  # (n,) with the object it overlaps most, in its image
    best: np.ndarray  # (n,) that object's index, or NOTHING
    difficult: np.ndarray  # (G,) bool


@EVALUATORS.register()
class VOCEvaluator:
    """AP by the rules of the VOC devkit (Everingham et al., 2010, section 4.2).

    style: "area" under the interpolated precision (VOC 2010 on), or the mean of "11point"s (2007).
    ious: the thresholds AP is the mean over; AP50 is always at 0.5.

    Detections of all images are taken by falling score, equal ones in the dataset's order. Each
    belongs to the one object of its class and image it overlaps most: with IoU >= the threshold
    it is a hit the first time, a false alarm when that object was hit before, and not counted
    when the object is difficult. Boxes are continuous, without the devkit's +1.

    Called with (dataset, {image_id: Detections}) it returns AP, AP50 and per_class, the AP50 by
    name; a class without objects that are not difficult has nan and is no part of the means.
    """

    def __init__(
        self, style: Literal["area", "11point"] = "area", ious: Sequence[float] = COCO_IOUS
    ):
        if style not in ("area", "11point"):
            raise ValueError(f"style: expected 'area' or '11point', found {style!r}")
        if not ious or not all(0 < iou <= 1 for iou in ious):
            raise ValueError(f"ious: expected numbers above 0, up to 1, found {list(ious)}")
        self._average = _area if style == "area" else _eleven_points
        self._ious = tuple(ious)

    def __call__(self, dataset, detections: Dict[Any, Detections]) -> Dict[str, Any]:
        pairs = paired(dataset, detections)
        classes = [_collect(pairs, label) for label in range(len(dataset.class_names))]
        per_class = [self._ap(c, 0.5) for c in classes]
        return {
            "AP": mean(mean(self._ap(c, iou) for c in classes) for iou in self._ious),
            "AP50": mean(per_class),
            "per_class": dict(zip(dataset.class_names, per_class)),
        }

    def _ap(self, one_class: _Class, threshold: float) -> float:
        objects = np.count_nonzero(~one_class.difficult)
        if not objects:
            return float("nan")
        hit, counted = _judge(one_class, threshold)
        hits = np.cumsum(hit[counted])
        return self._average(hits / objects, hits / np.arange(1, len(hits) + 1))


def _collect(pairs: Sequence, label: int) -> _Class:
    scores: List[np.ndarray] = [np.zeros(0)]
    ious: List[np.ndarray] = [np.zeros(0)]
    best: List[np.ndarray] = [np.zeros(0, np.int64)]
    difficult: List[np.ndarray] = [np.zeros(0, bool)]
    objects = 0
    for annotation, detections in pairs:
        mine, theirs = annotation.labels == label, detections.labels == label
        boxes = annotation.boxes[mine]
        iou = pairwise_iou(detections.boxes[theirs], boxes)
        scores.append(detections.scores[theirs])
        ious.append(iou.max(1, initial=0))
        best.append(iou.argmax(1) + objects if len(boxes) else np.full(len(iou), NOTHING))
        difficult.append(annotation.difficult[mine])
        objects += len(boxes)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return _Class(
        np.concatenate(ious)[order], np.concatenate(best)[order], np.concatenate(difficult)
    )


def _judge(one_class: _Class, threshold: float):
    """Which detections hit an object first, and which count at all: two (n,) bool arrays."""
    overlaps = (one_class.iou >= threshold) & (one_class.best != NOTHING)
    easy = overlaps.copy()
    easy[overlaps] = ~one_class.difficult[one_class.best[overlaps]]
    candidates = np.flatnonzero(easy)
    hit = np.zeros(len(easy), bool)
    hit[candidates[np.unique(one_class.best[candidates], return_index=True)[1]]] = True
    return hit, easy | ~overlaps


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    """The area under the precision made monotone, as py-faster-rcnn's voc_eval.py has it."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * envelope))


def _eleven_points(recall: np.ndarray, precision: np.ndarray) -> float:
    """The mean of the best precision at a recall of at least 0, 0.1, ... 1.

    The points are the devkit's 0:0.1:1, whose 0.3, 0.6 and 0.7 are larger by a rounding error, so
    that a recall of exactly 3/10 does not reach the fourth. Published numbers are counted so.
    """
    points = np.arange(0.0, 1.1, 0.1)
    return float(np.mean([precision[recall >= point].max(initial=0) for point in points]))

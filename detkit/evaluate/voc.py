"""Pascal VOC's average precision."""

from typing import Any, Dict, Literal, Sequence

import numpy as np

from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate.hits import ClassHits, all_overlaps, voc_hits
from detkit.evaluate.judged import Judged
from detkit.evaluate.metrics import mean
from detkit.registry import EVALUATORS

COCO_IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


STYLES = {"area": "area", "11point": "11 points"}  # in the heads of tables


@EVALUATORS.register()
class VOCEvaluator:
    """AP by the rules of the VOC devkit (Everingham et al., 2010, section 4.2).

    style: "area" is the area under the interpolated precision (VOC 2010 and later), "11point" the
        mean of the precision at 11 recalls (VOC 2007).
    ious: the thresholds, in (0, 1], over which AP is averaged; AP50 always uses 0.5.

    The detections of all images are taken by falling score, ties in the dataset's order. Each
    belongs to the object of its class and image that it overlaps most. If their IoU is below the
    threshold, the detection is a false alarm. Otherwise it is ignored if the object is difficult, a
    false alarm if the object was hit before, and a hit in all other cases. Boxes are continuous,
    without the devkit's +1.

    It is called with (dataset, {image_id: Detections}) and returns AP, AP50 and per_class, the AP50
    by name. A class without objects, or with difficult ones alone, has nan and is left out of the
    means.

    Raises ValueError for another style and for thresholds outside their range.
    """

    def __init__(
        self, style: Literal["area", "11point"] = "area", ious: Sequence[float] = COCO_IOUS
    ) -> None:
        if style not in ("area", "11point"):
            raise ValueError(f"style: expected 'area' or '11point', found {style!r}")
        if not ious or not all(0 < iou <= 1 for iou in ious):
            raise ValueError(f"ious: expected numbers in (0, 1], found {list(ious)}")
        self.rule = f"VOC {STYLES[style]}"
        self._average = _area if style == "area" else _eleven_points
        self._ious = tuple(ious)

    def __call__(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Dict[str, Any]:
        return self.judge(dataset, detections).metrics

    def judge(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Judged:
        """Returns the metrics with the hits of each class, and its AP over the ``ious``."""
        pairs = paired(dataset, detections)
        classes = all_overlaps(pairs, len(dataset.class_names))
        hits = [voc_hits(c, 0.5) for c in classes]
        aps = [[self._ap(voc_hits(c, iou)) for c in classes] for iou in self._ious]
        per_class = [self._ap(found) for found in hits]
        metrics = {
            "AP": mean(map(mean, aps)),
            "AP50": mean(per_class),
            "per_class": dict(zip(dataset.class_names, per_class)),
        }
        return Judged(metrics, hits, [mean(of_class) for of_class in zip(*aps)])

    def _ap(self, found: ClassHits) -> float:
        return self._average(found.recall, found.precision) if found.objects else float("nan")


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    """Returns the area under the monotone precision, as py-faster-rcnn's voc_eval.py does."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * envelope))


def _eleven_points(recall: np.ndarray, precision: np.ndarray) -> float:
    """Returns the mean of the best precisions at recalls of at least 0, 0.1, ..., 1.

    The recalls are the devkit's 0:0.1:1. Its 0.3, 0.6 and 0.7 are larger by a rounding error, so
    that a recall of exactly 3/10 does not reach 0.3. Published numbers contain this error.
    """
    points = np.arange(0.0, 1.1, 0.1)
    return float(np.mean([precision[recall >= point].max(initial=0) for point in points]))

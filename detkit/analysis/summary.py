"""The summary of a detector's detections: every figure that a report shows, as JSON's values."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from detkit.analysis.calibration import calibration
from detkit.analysis.confusion import confusion_json
from detkit.analysis.curves import best_f1, curve_of, plain, thinned
from detkit.analysis.errors import error_types
from detkit.analysis.examples import examples, judge
from detkit.analysis.matches import match_all, match_image
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate import COCOEvaluator, VOCEvaluator, metrics_to_json
from detkit.evaluate.hits import ClassHits, Pairs, pooled
from detkit.evaluate.judged import Judged
from detkit.evaluate.recall import SIZES

VERSION = 1  # of the summary
RULES = ("voc", "coco")


def summarise(
    dataset: Dataset,
    detections: Dict[Any, Detections],
    rule: str = "coco",
    name: str = "",
    split: str = "val",
    speed: Optional[Mapping[str, Any]] = None,
    training: Optional[Sequence[Mapping[str, Any]]] = None,
    about: Optional[Mapping[str, Any]] = None,
    threshold: Optional[float] = None,
) -> Dict[str, Any]:
    """Returns the summary of {image_id: Detections} of a dataset, all of it values of JSON.

    rule: "voc" or "coco": which detections are hits, and which AP the classes have. An IoU is 0.5
        unless an AP says otherwise.
    name, split, speed, training, about: what the detections alone do not tell.
    threshold: the score from which a detection counts for the examples and the recall of sizes;
        by default that of the largest F1 of all classes together.

    Figures without objects or detections to follow from are None.
    Raises DataError if the detections do not fit the dataset, and ValueError for another rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule: expected one of {list(RULES)}, found {rule!r}")
    pairs, names = paired(dataset, detections), dataset.class_names
    judged = _judged(dataset, detections)
    by_match = _by_match(dataset, pairs, judged[rule].hits, rule == "coco", threshold)
    return {
        "version": VERSION,
        "name": name,
        "split": split,
        "rule": rule,
        **_counts(pairs, names),
        "metrics": {key: _means(one.metrics) for key, one in judged.items()},
        **_by_threshold(names, judged[rule]),
        **by_match,
        "speed": speed,
        "curves_of_training": training,
        "about": about,
    }


def _judged(dataset: Dataset, detections: Dict[Any, Detections]) -> Dict[str, Judged]:
    """Returns the judgement of each of RULES."""
    judged = (
        VOCEvaluator().judge(dataset, detections),
        COCOEvaluator().judge(dataset, detections),
    )
    return dict(zip(RULES, judged))


def _counts(pairs: Pairs, names: Sequence[str]) -> Dict[str, Any]:
    """Returns the number of images, of objects that count, and of difficult ones."""
    objects = sum(len(annotation.boxes) for annotation, _ in pairs)
    difficult = sum(int(annotation.difficult.sum()) for annotation, _ in pairs)
    return {
        "images": len(pairs),
        "objects": objects - difficult,
        "difficult": difficult,
        "class_names": list(names),
    }


def _means(metrics: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns the metrics without those of single classes."""
    return metrics_to_json({name: one for name, one in metrics.items() if name != "per_class"})


def _by_threshold(names: Sequence[str], judged: Judged) -> Dict[str, Any]:
    """Returns the figures of each class, the curves and the calibration by an evaluator's hits."""
    curves = [("all", curve_of(pooled(judged.hits))), *zip(names, map(curve_of, judged.hits))]
    return {
        "classes": _classes(names, judged),
        "curves": [thinned(curve).to_json(label) for label, curve in curves],
        "calibration": calibration(judged.hits, names),
    }


def _by_match(
    dataset: Dataset,
    pairs: Pairs,
    hits: Sequence[ClassHits],
    crowds: bool,
    threshold: Optional[float],
) -> Dict[str, Any]:
    """Returns the figures for which objects and detections of other classes are matched too."""
    classes = len(hits)
    if threshold is None:
        threshold = best_f1(curve_of(pooled(hits)))["threshold"] or 0.0
    matched = [match_image(*pair, crowds=crowds) for pair in pairs]
    return {
        "threshold": threshold,
        "confusion": confusion_json(match_all(pairs, matched, classes), threshold),
        "errors": error_types(pairs, classes, crowds),
        "boxes": _sizes(pairs, matched, threshold),
        "examples": examples(dataset, pairs, matched, threshold),
    }


def _classes(names: Sequence[str], judged: Judged) -> List[Dict[str, Any]]:
    return [
        {
            "name": name,
            "objects": one.objects,
            "detections": len(one.scores),
            "ap": plain(ap),
            "ap50": plain(judged.metrics["per_class"][name]),
            "best_f1": best_f1(curve_of(one)),
        }
        for name, one, ap in zip(names, judged.hits, judged.ap)
    ]


def _sizes(pairs: Pairs, matched: Sequence[np.ndarray], threshold: float) -> Dict[str, Any]:
    """Returns the number of objects of each of COCO's sizes, and their recall at a threshold."""
    areas, found = [np.zeros(0)], [np.zeros(0, bool)]
    for (annotation, detections), one in zip(pairs, matched):
        judged = judge(annotation, detections, one, threshold)
        sizes = annotation.boxes[:, 2:].astype(np.float64) - annotation.boxes[:, :2]
        of_objects = sizes.prod(1) if annotation.areas is None else annotation.areas
        areas.append(of_objects[judged.objects])
        found.append(np.isin(judged.objects, judged.found[judged.hit]))
    all_areas, all_found = np.concatenate(areas), np.concatenate(found)
    of_sizes = {}
    for size, (low, high) in SIZES.items():
        within = all_found[(low <= all_areas) & (all_areas <= high)]
        recall = within.mean() if len(within) else np.nan
        of_sizes[size] = {"objects": len(within), "recall": plain(recall)}
    return of_sizes

"""The summary of a detector's detections: every figure that a report shows, as JSON's values."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from detkit.analysis.calibration import calibration
from detkit.analysis.confusion import confusion_json
from detkit.analysis.curves import area, best_f1, curve_of, plain, pooled, thinned
from detkit.analysis.examples import examples, judge
from detkit.analysis.matches import match_all, match_image
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate import COCOEvaluator, VOCEvaluator, metrics_to_json
from detkit.evaluate.coco import entries_of, evaluate
from detkit.evaluate.hits import ClassHits, Pairs, coco_hits, overlaps_of, voc_hits
from detkit.evaluate.metrics import mean
from detkit.evaluate.recall import SIZES
from detkit.evaluate.voc import COCO_IOUS

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
) -> Dict[str, Any]:
    """Returns the summary of {image_id: Detections} of a dataset, all of it values of JSON.

    rule: "voc" or "coco": which detections are hits, and which AP the classes have. An IoU is 0.5
        unless an AP says otherwise.
    name, split, speed, training, about: what the detections alone do not tell; they become the
        values of "name", "split", "speed", "curves_of_training" and "about".

    Figures without objects or detections to follow from are None. The examples and the recall of
    sizes are those at "threshold", which has the largest F1 of all classes together.

    Raises DataError if the detections do not fit the dataset, and ValueError for another rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule: expected one of {list(RULES)}, found {rule!r}")
    pairs, names = paired(dataset, detections), dataset.class_names
    hits, aps = (_by_voc if rule == "voc" else _by_coco)(pairs, len(names))
    everything = curve_of(pooled(hits))
    best = best_f1(everything)
    threshold = best["threshold"] or 0.0
    matched = [match_image(*pair, crowds=rule == "coco") for pair in pairs]
    curves = [("all", everything), *zip(names, map(curve_of, hits))]
    return {
        "version": VERSION,
        "name": name,
        "split": split,
        "rule": rule,
        "images": len(pairs),
        "objects": sum(one.objects for one in hits),
        "difficult": sum(int(annotation.difficult.sum()) for annotation, _ in pairs),
        "class_names": list(names),
        "metrics": _metrics(dataset, detections),
        "threshold": threshold,
        "classes": _classes(names, hits, aps),
        "curves": [thinned(curve).to_json(label) for label, curve in curves],
        "confusion": confusion_json(match_all(pairs, matched, len(names))),
        "calibration": calibration(hits, names),
        "boxes": _sizes(pairs, matched, threshold),
        "examples": examples(dataset, pairs, matched, threshold),
        "speed": speed,
        "curves_of_training": training,
        "about": about,
    }


def _metrics(dataset: Dataset, detections: Dict[Any, Detections]) -> Dict[str, Any]:
    """Returns the metrics of both evaluators, without those of single classes."""
    metrics = {
        "voc": VOCEvaluator()(dataset, detections),
        "coco": COCOEvaluator()(dataset, detections),
    }
    for one in metrics.values():
        del one["per_class"]
    return metrics_to_json(metrics)


def _by_voc(pairs: Pairs, classes: int) -> Any:
    """Returns the hits of each class by VOC's rule, and its AP50 and AP."""
    overlaps = [overlaps_of(pairs, label) for label in range(classes)]
    hits = [voc_hits(one, 0.5) for one in overlaps]
    aps = [mean(area(voc_hits(one, iou)) for iou in COCO_IOUS) for one in overlaps]
    return hits, [{"ap": ap, "ap50": area(one)} for ap, one in zip(aps, hits)]


def _by_coco(pairs: Pairs, classes: int) -> Any:
    """Returns the hits of each class by COCO's rule, and its AP50 and AP."""
    evaluation = evaluate(*entries_of(pairs), classes, "bbox")
    # precision: (IoU thresholds from 0.5, recalls, K, areas from all, maxDets up to 100)
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    by_iou = np.where(precision > -1, precision, np.nan).mean(1)
    aps = [{"ap": float(one.mean()), "ap50": float(one[0])} for one in by_iou.T]
    return coco_hits(evaluation, classes), aps


def _classes(
    names: Sequence[str], hits: Sequence[ClassHits], aps: Sequence[Mapping[str, float]]
) -> List[Dict[str, Any]]:
    return [
        {
            "name": name,
            "objects": one.objects,
            "detections": len(one.scores),
            **metrics_to_json(ap),
            "best_f1": best_f1(curve_of(one)),
        }
        for name, one, ap in zip(names, hits, aps)
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

"""COCO's average precision, by pycocotools."""

import contextlib
import io
from typing import Any, Dict, List

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkit.detections import Detections
from detkit.evaluate.matching import mean, paired
from detkit.registry import EVALUATORS


@EVALUATORS.register()
class COCOEvaluator:
    """COCO's box metrics (Lin et al., 2014; https://cocodataset.org/#detection-eval).

    Difficult objects and crowds are COCO's crowds: what overlaps them is not counted. Small, medium
    and large are told by the area of the box (COCO's own numbers take the mask's where there is
    one; the other metrics do not depend on it).

    Called with (dataset, {image_id: Detections}) it returns AP, AP50, AP75, APs, APm, APl, AR100
    and per_class, the AP50 by name; nan where there is no ground truth.
    """

    def __call__(self, dataset, detections: Dict[Any, Detections]) -> Dict[str, Any]:
        pairs = paired(dataset, detections)
        classes = len(dataset.class_names)
        truths, found = [], []
        for image, (annotation, detected) in enumerate(pairs, 1):
            crowds = annotation.difficult
            truths += _entries(image, annotation.boxes, annotation.labels, iscrowd=crowds)
            found += _entries(image, detected.boxes, detected.labels, score=detected.scores)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(
                _index(truths, len(pairs), classes), _index(found, len(pairs), classes), "bbox"
            )
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return _metrics(evaluation, dataset.class_names)


def _entries(image: int, boxes: np.ndarray, labels: np.ndarray, **fields) -> List[Dict[str, Any]]:
    """COCO's dicts for one image, categories from 1; `fields` are arrays beside the boxes."""
    boxes = np.asarray(boxes, np.float64)
    sizes = boxes[:, 2:] - boxes[:, :2]
    return [
        {
            "image_id": image,
            "category_id": int(labels[i]) + 1,
            "bbox": [*boxes[i, :2], *sizes[i]],
            "area": sizes[i].prod(),
            "iscrowd": 0,
            **{name: values[i].item() for name, values in fields.items()},
        }
        for i in range(len(boxes))
    ]


def _index(entries: List[Dict[str, Any]], images: int, classes: int) -> COCO:
    # Ids begin with 1: COCOeval takes a match with id 0 for none.
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(1, images + 1)],
        "categories": [{"id": k} for k in range(1, classes + 1)],
        "annotations": [{**entry, "id": i} for i, entry in enumerate(entries, 1)],
    }
    coco.createIndex()
    return coco


def _metrics(evaluation: COCOeval, class_names) -> Dict[str, Any]:
    # stats: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; -1 without objects.
    stats = [float(value) if value > -1 else float("nan") for value in evaluation.stats]
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    # precision: (IoU thresholds from 0.5, recalls, K, areas from all, maxDets up to 100)
    at_50 = evaluation.eval["precision"][0, :, :, 0, -1]
    per_class = np.where(at_50 > -1, at_50, np.nan).T
    return {
        **dict(zip(names, stats)),
        "AR100": stats[8],
        "per_class": {name: mean(recalls) for name, recalls in zip(class_names, per_class)},
    }

"""COCO's average precision, by pycocotools."""

import contextlib
import io
from typing import Any, Dict, List

import numpy as np
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate.metrics import mean
from detkit.registry import EVALUATORS
from detkit.segmentations import RLE, encode, fit


@EVALUATORS.register()
class COCOEvaluator:
    """COCO's metrics (Lin et al., 2014; https://cocodataset.org/#detection-eval).

    Difficult objects and crowds are COCO's crowds: what overlaps them is not counted. An object is
    small, medium or large by its annotated area, as in COCO; where the dataset knows none, by the
    area of its box, for masks by that of its mask.

    Called with (dataset, {image_id: Detections}) it returns AP, AP50, AP75, APs, APm, APl, AR100
    and per_class, the AP50 by name; nan where there is no ground truth. Where the detections and
    the dataset have masks, mask_AP, mask_AP50, ... are the same of these.
    """

    def __call__(self, dataset, detections: Dict[Any, Detections]) -> Dict[str, Any]:
        pairs = paired(dataset, detections)
        truths, results = [], []
        for image, (annotation, detected) in enumerate(pairs, 1):
            crowds = annotation.difficult
            fields = {} if annotation.areas is None else {"area": annotation.areas}
            truths.append(
                _entries(image, annotation.boxes, annotation.labels, iscrowd=crowds, **fields)
            )
            results.append(_entries(image, detected.boxes, detected.labels, score=detected.scores))
        evaluation = _evaluate(truths, results, len(dataset.class_names), "bbox")
        metrics = {**_means(evaluation), "per_class": _per_class(evaluation, dataset.class_names)}
        if _add_masks(dataset, pairs, truths, results):
            means = _means(_evaluate(truths, results, len(dataset.class_names), "segm"))
            metrics.update({f"mask_{name}": value for name, value in means.items()})
        return metrics


def _add_masks(dataset, pairs, truths, results) -> bool:
    """Put masks into the entries of each image; False where there are none."""
    if not any(detected.has_masks for _, detected in pairs) or dataset.masks(0) is None:
        return False
    for index, (annotation, detected) in enumerate(pairs):
        masks = dataset.masks(index)
        if detected.has_masks:  # the image is right about its size, not the annotation
            masks = fit(masks, detected.image_size)
        for entry, mask in zip(truths[index], masks):
            _add_mask(entry, encode(mask), has_area=annotation.areas is not None)
        for number, entry in enumerate(results[index]):
            _add_mask(entry, detected.rle(number), has_area=False)
    return True


def _add_mask(entry: Dict[str, Any], rle: RLE, has_area: bool) -> None:
    entry["segmentation"] = rle
    if not has_area:
        entry["area"] = float(coco_masks.area(rle))


def _evaluate(truths, results, classes: int, kind: str) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_index(truths, classes), _index(results, classes), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


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


def _index(images: List[List[Dict[str, Any]]], classes: int) -> COCO:
    # Ids begin with 1: COCOeval takes a match with id 0 for none.
    coco = COCO()
    entries = (entry for image in images for entry in image)
    coco.dataset = {
        # An RLE has the size itself; COCO asks for the image's all the same.
        "images": [{"id": i, "height": None, "width": None} for i in range(1, len(images) + 1)],
        "categories": [{"id": k} for k in range(1, classes + 1)],
        "annotations": [{**entry, "id": i} for i, entry in enumerate(entries, 1)],
    }
    coco.createIndex()
    return coco


def _means(evaluation: COCOeval) -> Dict[str, float]:
    # stats: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; -1 without objects.
    stats = [float(value) if value > -1 else float("nan") for value in evaluation.stats]
    return dict(zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), stats), AR100=stats[8])


def _per_class(evaluation: COCOeval, class_names) -> Dict[str, float]:
    # precision: (IoU thresholds from 0.5, recalls, K, areas from all, maxDets up to 100)
    at_50 = evaluation.eval["precision"][0, :, :, 0, -1]
    per_class = np.where(at_50 > -1, at_50, np.nan).T
    return {name: mean(recalls) for name, recalls in zip(class_names, per_class)}

"""COCO's average precision, computed by faster-coco-eval, which finds what pycocotools finds."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as coco_masks

from detkit.data.sample import Annotation, Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate.coco_keypoints import add_keypoints, check_sigmas, keypoint_means, sigmas_for
from detkit.evaluate.coco_matches import coco_hits, widths
from detkit.evaluate.judged import Judged
from detkit.evaluate.metrics import mean
from detkit.registry import EVALUATORS
from detkit.segmentations import RLE, encode, fit

Entries = List[List[Dict[str, Any]]]  # COCO's annotations of each image


@EVALUATORS.register()
class COCOEvaluator:
    """COCO's metrics (Lin et al., 2014; https://cocodataset.org/#detection-eval).

    Difficult objects are COCO's crowds: detections that overlap them are ignored. An object is
    small, medium or large by its annotated area, as in COCO. If the dataset has no areas, the area
    of its box is used, and for masks that of its mask.

    It is called with (dataset, {image_id: Detections}) and returns AP, AP50, AP75, APs, APm, APl,
    AR100 and per_class, the AP50 by name. A value is nan if it has no ground truth. If the
    detections and the dataset have masks, mask_AP, mask_AP50, ... are the same metrics of masks. If
    they have keypoints, keypoint_AP, keypoint_AP50, ... are those of keypoints, AP, AP50, AP75,
    APm, APl and AR20, whose measure is the OKS instead of the IoU
    (https://cocodataset.org/#keypoints-eval).

    sigmas: the tolerance of each keypoint in the OKS, as a share of the object's size, or one
        number for all; by default COCO's, for the 17 keypoints of a person.

    Raises ValueError for sigmas that are not above 0.
    """

    rule = "COCO"

    def __init__(self, sigmas: Union[None, float, Sequence[float]] = None) -> None:
        self._sigmas = check_sigmas(sigmas)

    def check_keypoints(self, dataset: Dataset) -> None:
        """Raises DataError unless there are sigmas for the keypoints of ``dataset``."""
        sigmas_for(dataset, self._sigmas)

    def __call__(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Dict[str, Any]:
        return self.judge(dataset, detections).metrics

    def judge(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Judged:
        """Returns the metrics with the hits of the boxes of each class, and its AP."""
        pairs, names = paired(dataset, detections), dataset.class_names
        truths, results = entries_of(pairs)
        evaluation = evaluate(truths, results, len(names), "bbox")
        ap, at_50 = _per_class(evaluation)
        hits = coco_hits(pairs, len(names))
        metrics = {**_means(evaluation), "per_class": dict(zip(names, at_50))}
        if _add_masks(dataset, pairs, truths, results):
            means = _means(evaluate(truths, results, len(dataset.class_names), "segm"))
            metrics.update({f"mask_{name}": value for name, value in means.items()})
        if add_keypoints(dataset, [detected for _, detected in pairs], truths, results):
            sigmas, classes = sigmas_for(dataset, self._sigmas), len(dataset.class_names)
            means = keypoint_means(evaluate(truths, results, classes, "keypoints", sigmas).stats)
            metrics.update({f"keypoint_{name}": value for name, value in means.items()})
        return Judged(metrics, hits, ap)


def _add_masks(
    dataset: Dataset,
    pairs: Sequence[Tuple[Annotation, Detections]],
    truths: Entries,
    results: Entries,
) -> bool:
    """Puts masks into the entries of each image; returns False if there are none."""
    if not any(detected.has_masks for _, detected in pairs) or dataset.masks(0) is None:
        return False
    for index, (annotation, detected) in enumerate(pairs):
        masks = np.asarray(dataset.masks(index))
        if detected.image_size is not None:  # the image is right about its size, not the annotation
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


def entries_of(pairs: Sequence[Tuple[Annotation, Detections]]) -> Tuple[Entries, Entries]:
    """Returns COCO's annotations of the objects and of the detections of each image."""
    truths: Entries = []
    results: Entries = []
    for image, (annotation, detected) in enumerate(pairs, 1):
        crowds = annotation.difficult
        fields = {} if annotation.areas is None else {"area": annotation.areas}
        truths.append(
            coco_entries(image, annotation.boxes, annotation.labels, iscrowd=crowds, **fields)
        )
        results.append(coco_entries(image, detected.boxes, detected.labels, score=detected.scores))
    return truths, results


def evaluate(
    truths: Entries,
    results: Entries,
    classes: int,
    kind: str,
    sigmas: Optional[np.ndarray] = None,
) -> COCOeval_faster:
    """Returns the evaluation, accumulated and summarized, of entries of each image.

    kind: "bbox", "segm" or "keypoints", which needs the ``sigmas``.
    """
    evaluation = COCOeval_faster(
        coco_index(truths, classes), coco_index(results, classes), kind, print_function=_nothing
    )
    evaluation.params.kpt_oks_sigmas = sigmas  # read for keypoints alone
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _nothing(*_: Any) -> None:
    """Takes the lines that the evaluation would print."""


def coco_entries(
    image: int, boxes: np.ndarray, labels: np.ndarray, **fields: np.ndarray
) -> List[Dict[str, Any]]:
    """Returns COCO's annotations of one image, one for each box; category ids begin with 1.

    image: the image's id. fields: further keys of the annotations, with an array of n values each.
    """
    return [
        {
            "image_id": image,
            "category_id": int(labels[i]) + 1,
            "bbox": box.tolist(),
            "area": float(box[2:].prod()),
            "iscrowd": 0,
            **{name: values[i].item() for name, values in fields.items()},
        }
        for i, box in enumerate(widths(boxes))
    ]


def coco_index(images: Entries, classes: int) -> COCO:
    """Returns COCO's index of the annotations of all images, whose ids begin with 1."""
    # The annotations' ids begin with 1, because a match with id 0 is taken for no match.
    coco = COCO(print_function=_nothing)
    entries = (entry for image in images for entry in image)
    coco.dataset = {
        # An RLE has its own size, but the evaluation reads these keys.
        "images": [{"id": i, "height": 0, "width": 0} for i in range(1, len(images) + 1)],
        "categories": [{"id": k} for k in range(1, classes + 1)],
        "annotations": [{**entry, "id": i} for i, entry in enumerate(entries, 1)],
    }
    coco.createIndex()
    return coco


def _means(evaluation: COCOeval_faster) -> Dict[str, float]:
    # stats: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; -1 if no objects.
    stats = [float(value) if value > -1 else float("nan") for value in evaluation.stats]
    return dict(zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), stats), AR100=stats[8])


def _per_class(evaluation: COCOeval_faster) -> Tuple[List[float], List[float]]:
    """Returns the AP and the AP50 of each class."""
    # precision: (IoU thresholds from 0.5, recalls, K, areas from all, maxDets up to 100)
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    known = np.where(precision > -1, precision, np.nan)
    classes = range(known.shape[2])
    return [mean(known[:, :, k].ravel()) for k in classes], [mean(known[0, :, k]) for k in classes]

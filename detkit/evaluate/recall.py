"""Average recall: how many objects are among an image's best proposals."""

from typing import Any, Dict, Sequence

import numpy as np

from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.detections.overlap import pairwise_iou
from detkit.evaluate.voc import COCO_IOUS
from detkit.registry import EVALUATORS


@EVALUATORS.register()
class ProposalEvaluator:
    """The share of the objects that are found, the mean over IoU thresholds (Hosang et al. 2016).

    limits: how many detections of an image are looked at, those of best score.
    ious: the thresholds.

    Labels do not matter, and detections that find nothing do not either. By falling score, each
    finds the object it overlaps most of those that none has found before, if their IoU reaches the
    threshold: as COCO's AR with ``useCats = 0``. Difficult objects are not looked for.

    Called with (dataset, {image_id: Detections}) it returns AR100, ...: one for each limit, nan
    without objects.
    """

    def __init__(self, limits: Sequence[int] = (100, 300, 1000), ious: Sequence[float] = COCO_IOUS):
        if not limits or min(limits) < 1:
            raise ValueError(f"limits: expected numbers of at least 1, found {list(limits)}")
        if not ious or not all(0 < iou <= 1 for iou in ious):
            raise ValueError(f"ious: expected numbers above 0, up to 1, found {list(ious)}")
        self._limits, self._ious = tuple(limits), tuple(ious)
        self.main = _name(max(limits))

    def __call__(self, dataset, detections: Dict[Any, Detections]) -> Dict[str, float]:
        ranks = [self._ranks(*pair) for pair in paired(dataset, detections)]
        ranks = np.concatenate(ranks, axis=1)
        return {
            _name(limit): float((ranks < limit).mean()) if ranks.size else float("nan")
            for limit in self._limits
        }

    def _ranks(self, annotation, detections: Detections) -> np.ndarray:
        """(T, G): for each threshold, the rank of the detection that finds each object."""
        order = np.argsort(-detections.scores, kind="stable")[: max(self._limits)]
        objects = annotation.boxes[~annotation.difficult]
        iou = pairwise_iou(detections.boxes[order], objects)
        return np.array([_found_at(iou, threshold) for threshold in self._ious])


def _found_at(iou: np.ndarray, threshold: float) -> np.ndarray:
    """(G,): the row of iou (n, G) that finds each object, infinite where none does."""
    ranks = np.full(iou.shape[1], np.inf)
    for rank in np.flatnonzero(iou.max(axis=1, initial=0) >= threshold):
        free = np.where(np.isinf(ranks), iou[rank], 0)
        if free.max() >= threshold:
            ranks[free.argmax()] = rank
    return ranks


def _name(limit: int) -> str:
    return f"AR{limit}"

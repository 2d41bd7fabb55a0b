"""Average recall: the share of the objects that an image's best proposals cover."""

from typing import Any, Dict, Sequence

import numpy as np

from detkit.data.sample import Annotation, Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.detections.overlap import pairwise_iou
from detkit.evaluate.voc import COCO_IOUS
from detkit.registry import EVALUATORS


@EVALUATORS.register()
class ProposalEvaluator:
    """Average recall, the mean over IoU thresholds (Hosang et al. 2016).

    limits: the numbers of detections with the highest scores that are counted in each image.
    ious: the thresholds, in (0, 1].

    Labels and false detections do not matter. By falling score, each detection matches the object
    that it overlaps most among those without a match, if their IoU reaches the threshold. This is
    COCO's AR with ``useCats = 0``. Difficult objects are ignored.

    It is called with (dataset, {image_id: Detections}) and returns AR100, ..., one for each limit.
    A value is nan if there are no objects. ``main`` is the name of the metric with the largest
    limit, by which a run selects its best checkpoint.

    Raises ValueError for limits below 1 and thresholds outside their range.
    """

    def __init__(
        self, limits: Sequence[int] = (100, 300, 1000), ious: Sequence[float] = COCO_IOUS
    ) -> None:
        if not limits or min(limits) < 1:
            raise ValueError(f"limits: expected numbers of at least 1, found {list(limits)}")
        if not ious or not all(0 < iou <= 1 for iou in ious):
            raise ValueError(f"ious: expected numbers in (0, 1], found {list(ious)}")
        self._limits, self._ious = tuple(limits), tuple(ious)
        self.main = _name(max(limits))

    def __call__(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Dict[str, float]:
        of_images = [self._ranks(*pair) for pair in paired(dataset, detections)]
        ranks = np.concatenate(of_images, axis=1)
        return {
            _name(limit): float((ranks < limit).mean()) if ranks.size else float("nan")
            for limit in self._limits
        }

    def _ranks(self, annotation: Annotation, detections: Detections) -> np.ndarray:
        """Returns the rank of the detection that matches each object, (T, G) for T thresholds."""
        order = np.argsort(-detections.scores, kind="stable")[: max(self._limits)]
        objects = annotation.boxes[~annotation.difficult]
        iou = pairwise_iou(detections.boxes[order], objects)
        return np.array([_matching_ranks(iou, threshold) for threshold in self._ious])


def _matching_ranks(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Returns the row of iou (n, G) that matches each object, (G,); infinite without a match."""
    ranks = np.full(iou.shape[1], np.inf)
    for rank in np.flatnonzero(iou.max(axis=1, initial=0) >= threshold):
        free = np.where(np.isinf(ranks), iou[rank], 0)
        if free.max() >= threshold:
            ranks[free.argmax()] = rank
    return ranks


def _name(limit: int) -> str:
    return f"AR{limit}"

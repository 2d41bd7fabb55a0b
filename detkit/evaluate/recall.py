"""Recall of proposals: the share of the objects that an image's best boxes cover."""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from detkit.data.sample import Annotation, Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.detections.overlap import pairwise_iou
from detkit.evaluate.voc import COCO_IOUS
from detkit.registry import EVALUATORS

# COCO's sizes: the area of an object in square pixels, both ends included.
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
ALL = "all"
COUNTS = (10, 30, 100, 300, 1000, np.inf)  # proposals of an image in `recall_table`


class Ranks(NamedTuple):
    """The ranks of the detections that match the objects of a dataset, for T thresholds of IoU.

    by_size: {"all", "small", "medium" or "large": (T, G)}, a row for each threshold. A rank counts
    from 0 within an image. It is infinite for an object without a match.
    """

    by_size: Dict[str, np.ndarray]

    def recall(self, size: str, limit: float) -> List[float]:
        """Returns the recall of the best ``limit`` detections of an image at each threshold.

        A recall is nan if there are no objects of this size.
        """
        ranks = self.by_size[size]
        if not ranks.size:
            return [float("nan")] * len(ranks)
        found: List[float] = (ranks < limit).mean(axis=1).tolist()
        return found


def match_ranks(
    dataset: Dataset,
    detections: Dict[Any, Detections],
    ious: Sequence[float],
    limit: float = np.inf,
) -> Ranks:
    """Matches the detections of each image with its objects, at each IoU threshold.

    By falling score, each detection matches the object that it overlaps most among those without a
    match, if their IoU reaches the threshold. For the objects of one size, only they are matched.
    This is COCO's matching with ``useCats = 0``. An object's size follows from its annotated area,
    or from the area of its box. Difficult objects are ignored.

    limit: the number of detections with the highest scores that are looked at in each image.

    Raises DataError if the detections do not fit the dataset.
    """
    of_images = [_ranks(*pair, ious, limit) for pair in paired(dataset, detections)]
    return Ranks({size: np.concatenate([r[size] for r in of_images], 1) for size in of_images[0]})


def _ranks(
    annotation: Annotation, detections: Detections, ious: Sequence[float], limit: float
) -> Dict[str, np.ndarray]:
    """Returns Ranks.by_size of one image."""
    order = np.argsort(-detections.scores, kind="stable")
    order = order if limit == np.inf else order[: int(limit)]
    kept = ~annotation.difficult
    objects = annotation.boxes[kept].astype(np.float64)
    if annotation.areas is None:
        areas = (objects[:, 2:] - objects[:, :2]).prod(axis=1)
    else:
        areas = annotation.areas[kept]
    iou = pairwise_iou(detections.boxes[order], objects)
    columns = {ALL: np.ones(len(areas), bool)}
    columns.update((size, (areas >= lo) & (areas <= hi)) for size, (lo, hi) in SIZES.items())
    return {
        size: np.array([_matching_ranks(iou[:, of_size], threshold) for threshold in ious])
        for size, of_size in columns.items()
    }


def _matching_ranks(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Returns the row of iou (n, G) that matches each object, (G,); infinite without a match."""
    ranks = np.full(iou.shape[1], np.inf)
    for rank in np.flatnonzero(iou.max(axis=1, initial=0) >= threshold):
        free = np.where(np.isinf(ranks), iou[rank], 0)
        if free.max() >= threshold:
            ranks[free.argmax()] = rank
    return ranks


@EVALUATORS.register()
class ProposalEvaluator:
    """The recall of proposals, of all objects and by their size (Hosang et al. 2016).

    limits: the numbers of detections with the highest scores that are counted in each image.
    ious: the thresholds of IoU, in (0, 1], whose mean is the average recall.
    at: further thresholds, in (0, 1], whose recall is returned by itself.

    Labels and false detections do not matter; `match_ranks` says what matches. The average recall
    is COCO's AR with ``useCats = 0``.

    It is called with (dataset, {image_id: Detections}) and returns, for each limit of 100, 300 and
    1000: AR100, the average recall; AR100s, AR100m and AR100l, that of small, medium and large
    objects; R50@100 and R70@100, the recall at the thresholds 0.5 and 0.7. A value is nan if there
    are no objects. ``main`` is the AR of the largest limit, by which a run selects its best
    checkpoint.

    Raises ValueError for limits below 1 and thresholds outside their range.
    """

    def __init__(
        self,
        limits: Sequence[int] = (100, 300, 1000),
        ious: Sequence[float] = COCO_IOUS,
        at: Sequence[float] = (0.5, 0.7),
    ) -> None:
        if not limits or min(limits) < 1:
            raise ValueError(f"limits: expected numbers of at least 1, found {list(limits)}")
        for name, thresholds in (("ious", ious), ("at", at)):
            if not all(0 < iou <= 1 for iou in thresholds):
                raise ValueError(f"{name}: expected numbers in (0, 1], found {list(thresholds)}")
        if not ious:
            raise ValueError("ious: expected at least one number in (0, 1], found []")
        self._limits, self._ious, self._at = tuple(limits), tuple(ious), tuple(at)
        self.main = f"AR{max(limits)}"

    def __call__(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Dict[str, float]:
        thresholds = (*self._ious, *self._at)
        ranks = match_ranks(dataset, detections, thresholds, max(self._limits))
        count, metrics = len(self._ious), {}
        for size, suffix in ((ALL, ""), *((size, size[0]) for size in SIZES)):
            for limit in self._limits:
                recalls = ranks.recall(size, limit)[:count]
                metrics[f"AR{limit}{suffix}"] = float(np.mean(recalls))
        for column, threshold in enumerate(self._at, count):
            for limit in self._limits:
                name = f"R{100 * threshold:g}@{limit}"
                metrics[name] = ranks.recall(ALL, limit)[column]
        return metrics


def recall_table(
    dataset: Dataset,
    detections: Dict[Any, Detections],
    counts: Sequence[float] = COUNTS,
    ious: Sequence[float] = (0.5, 0.7),
) -> str:
    """Returns a table of the recall in percent against the number of proposals of an image.

    The columns are the IoU thresholds with the sizes of the objects, and the first row the number
    of the objects. An infinite count stands for all proposals of an image.

    Raises DataError if the detections do not fit the dataset.
    """
    ranks = match_ranks(dataset, detections, ious)
    sizes = list(ranks.by_size)
    shares = [[ranks.recall(size, count) for size in sizes] for count in counts]
    rows: List[Tuple[str, List[str]]] = [
        ("IoU", [f"{iou:g}" for iou in ious for _ in sizes]),
        ("proposals", sizes * len(ious)),
        ("objects", [str(ranks.by_size[size].shape[1]) for size in sizes] * len(ious)),
    ]
    for count, of_sizes in zip(counts, shares):
        cells = [_percent(recalls[k]) for k in range(len(ious)) for recalls in of_sizes]
        rows.append((ALL if count == np.inf else str(count), cells))
    return "\n".join(f"{head:<9}" + "".join(f"{cell:>8}" for cell in row) for head, row in rows)


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f}"

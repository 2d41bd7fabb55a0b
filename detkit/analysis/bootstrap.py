"""How far the difference of two detectors depends on the images: the paired bootstrap of AP."""

import contextlib
import io
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np
from pycocotools.cocoeval import COCOeval

from detkit.analysis.curves import COCO_RECALLS, plain
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate.coco import coco_index, entries_of
from detkit.evaluate.hits import Pairs

REPEATS = 1000
LEVEL = 95  # percent of the repeats that are within an interval
AT_ONCE = 50  # repeats; more of them need more memory
METRICS = ("AP", "AP50")


class ClassStatistics(NamedTuple):
    """All that the AP of a class in any sample of the I images depends on, at T thresholds of IoU.

    images: (n,) the index of the image of each detection, by falling score.
    hit, ignored: (T, n) bool, whether it is a hit, and whether it does not count.
    objects: (I,) the number of objects of each image.
    """

    images: np.ndarray
    hit: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray


def differences(
    dataset: Dataset,
    detections: Sequence[Dict[Any, Detections]],
    repeats: int = REPEATS,
    seed: int = 0,
) -> List[Optional[Dict[str, Any]]]:
    """Returns the differences of COCO's AP and AP50 from the first of several detectors.

    detections: {image_id: Detections} of each detector, for the same dataset.

    The result is None for the first, and {"coco": {"AP": interval, "AP50": interval}} for each
    other. An interval has the "difference" in all images, and "low" and "high", between which 95 %
    of the differences lie in ``repeats`` samples of as many images, drawn with replacement
    (percentile bootstrap; Efron and Tibshirani, 1993, chapter 13). A sample is the same for all
    detectors. Samples without objects are left out; a figure without any sample is None.

    Raises DataError if the detections do not fit the dataset.
    """
    all_pairs = [paired(dataset, one) for one in detections]
    statistics = [class_statistics(pairs, len(dataset.class_names)) for pairs in all_pairs]
    images = len(all_pairs[0])
    whole = np.array([weighted_ap(one, np.ones((1, images), int))[0] for one in statistics])
    parts = [
        [weighted_ap(one, weights) for one in statistics]
        for weights in samples(images, repeats, seed)
    ]
    drawn = np.concatenate(parts, axis=1)
    return [None] + [
        {"coco": _intervals(whole[other] - whole[0], drawn[other] - drawn[0], images)}
        for other in range(1, len(detections))
    ]


def samples(images: int, repeats: int, seed: int) -> Iterator[np.ndarray]:
    """Yields how often each image is drawn in some repeats, (r, I) int, until all were yielded."""
    random = np.random.default_rng(seed)
    for first in range(0, repeats, AT_ONCE):
        count = min(AT_ONCE, repeats - first)
        drawn = random.integers(images, size=(count, images))
        yield np.array([np.bincount(one, minlength=images) for one in drawn])


def class_statistics(pairs: Pairs, classes: int) -> List[ClassStatistics]:
    """Returns the statistics of each class by COCO's rule, at COCO's ten thresholds of IoU."""
    truths, results = entries_of(pairs)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco_index(truths, classes), coco_index(results, classes), "bbox")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all areas
        evaluation.evaluate()
    images = len(pairs)
    return [
        _statistics(evaluation.evalImgs[label * images : (label + 1) * images], evaluation.params)
        for label in range(classes)
    ]


def _statistics(of_images: Sequence[Any], params: Any) -> ClassStatistics:
    most, count = params.maxDets[-1], len(params.iouThrs)
    objects = [np.count_nonzero(one["gtIgnore"] == 0) if one else 0 for one in of_images]
    known = [(image, one) for image, one in enumerate(of_images) if one and one["dtScores"]]
    scores = np.concatenate([np.zeros(0), *(one["dtScores"][:most] for _, one in known)])
    nothing = np.zeros((count, 0), bool)
    hit = np.hstack([nothing, *(one["dtMatches"][:, :most] > 0 for _, one in known)])
    ignored = np.hstack([nothing, *(one["dtIgnore"][:, :most] > 0 for _, one in known)])
    lengths = [len(one["dtScores"][:most]) for _, one in known]
    images = np.repeat([image for image, _ in known], lengths).astype(np.int64)
    falling = np.argsort(-scores, kind="stable")
    hit = (hit & ~ignored)[:, falling]
    last = np.flatnonzero(hit.any(0))[-1:].sum() + 1  # what follows changes no AP
    falling = falling[:last]
    return ClassStatistics(images[falling], hit[:, :last], ignored[:, falling], np.array(objects))


def weighted_ap(statistics: Sequence[ClassStatistics], weights: np.ndarray) -> np.ndarray:
    """Returns AP and AP50 (r, 2) of samples; nan for a sample without objects.

    weights: (r, I) int, how often each image is in each sample.
    """
    aps = np.array([_class_ap(one, weights) for one in statistics])
    known = ~np.isnan(aps)
    with np.errstate(invalid="ignore"):
        by_iou = np.where(known, aps, 0).sum(0) / known.sum(0)
    return np.stack([by_iou.mean(0), by_iou[0]], axis=1)


def _class_ap(one: ClassStatistics, weights: np.ndarray) -> np.ndarray:
    """Returns COCO's AP (T, r) of a class in samples."""
    drawn = np.take(weights, one.images, axis=1)
    objects = weights @ one.objects
    so_far = drawn.cumsum(1)
    aps = np.zeros((len(one.hit), len(weights)))
    for ap, hit, ignored in zip(aps, one.hit, one.ignored):
        rows = np.flatnonzero(hit)
        hits, detections = drawn[:, rows].cumsum(1), so_far[:, rows]
        if ignored.any():
            detections = detections - (drawn * ignored).cumsum(1)[:, rows]
        precision = hits / np.maximum(detections, 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = hits / np.maximum(objects, 1)[:, None]
        reached = np.searchsorted(COCO_RECALLS, recall, side="right")
        ap[:] = (np.diff(reached, prepend=0) * envelope).sum(1) / len(COCO_RECALLS)
    aps[:, objects == 0] = np.nan
    return aps


def _intervals(whole: np.ndarray, drawn: np.ndarray, images: int) -> Dict[str, Any]:
    """Returns the interval of each of METRICS; whole: (2,), drawn: (repeats, 2)."""
    ends = (50 - LEVEL / 2, 50 + LEVEL / 2)
    intervals = {}
    for name, difference, values in zip(METRICS, whole, drawn.T):
        known = values[~np.isnan(values)]
        low, high = np.percentile(known, ends) if len(known) else (np.nan, np.nan)
        intervals[name] = {
            "difference": plain(difference),
            "low": plain(low),
            "high": plain(high),
            "images": images,
            "repeats": len(known),
        }
    return intervals

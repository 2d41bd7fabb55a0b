"""How far the difference of two detectors depends on the images: the paired bootstrap of AP."""

from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from detkit.analysis.curves import COCO_RECALLS, plain
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate.coco_matches import AP_IOUS, ClassMatches, coco_matches
from detkit.evaluate.hits import Pairs

REPEATS = 1000
LEVEL = 95  # percent of the repeats that are within an interval
AT_ONCE = 50  # repeats; more of them need more memory
METRICS = ("AP", "AP50")


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


def class_statistics(pairs: Pairs, classes: int) -> List[ClassMatches]:
    """Returns all that the AP of each class in any sample depends on: the matches by COCO's rule.

    They are those at COCO's ten thresholds of IoU, up to the last hit: what follows it changes no
    AP.
    """
    return [_up_to_the_last_hit(one) for one in coco_matches(pairs, classes, AP_IOUS)]


def _up_to_the_last_hit(one: ClassMatches) -> ClassMatches:
    last = np.flatnonzero(one.hit.any(0))[-1:].sum() + 1
    return one._replace(
        scores=one.scores[:last],
        images=one.images[:last],
        hit=one.hit[:, :last],
        ignored=one.ignored[:, :last],
    )


def weighted_ap(statistics: Sequence[ClassMatches], weights: np.ndarray) -> np.ndarray:
    """Returns AP and AP50 (r, 2) of samples; nan for a sample without objects.

    weights: (r, I) int, how often each image is in each sample.
    """
    aps = np.array([_class_ap(one, weights) for one in statistics])
    known = ~np.isnan(aps)
    with np.errstate(invalid="ignore"):
        by_iou = np.where(known, aps, 0).sum(0) / known.sum(0)
    return np.stack([by_iou.mean(0), by_iou[0]], axis=1)


def _class_ap(one: ClassMatches, weights: np.ndarray) -> np.ndarray:
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

"""Kinds of errors, and the AP that each of them costs: TIDE (Bolya et al., ECCV 2020)."""

from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

from detkit.analysis.curves import mean_precision, plain
from detkit.analysis.matches import IOU, NOTHING, assign
from detkit.data.sample import Annotation
from detkit.detections import Detections
from detkit.detections.overlap import pairwise_iou, share_within
from detkit.evaluate.hits import ClassHits, Pairs

BACKGROUND_IOU = 0.1  # up to it a detection is one of the background
MOST = 100  # detections of an image
RECALLS = np.arange(101) / 100  # tidecv's; they differ from COCO's by rounding
KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(len(KINDS))
HIT, NO_KIND = -1, -2


class Found(NamedTuple):
    """The n detections of an image or of a dataset by their kind, and the number of objects.

    scores, labels: (n,), image by image and by falling score.
    kinds: (n,) int, the index in KINDS, or HIT.
    counts: (n,) bool, False for what lies in a difficult object of its class.
    mended: (n,) int, the label of the object that a detection would find if its kind of error were
        mended, or NOTHING if a better detection finds it.
    objects: (K,) int, the objects of each class that are not difficult.
    without_hit: (K,) int, those of them without a hit.
    missed: (K,) int, those of them that no mended detection would find either.
    """

    scores: np.ndarray
    labels: np.ndarray
    kinds: np.ndarray
    counts: np.ndarray
    mended: np.ndarray
    objects: np.ndarray
    without_hit: np.ndarray
    missed: np.ndarray


def error_types(pairs: Pairs, classes: int, crowds: bool = True) -> Dict[str, Any]:
    """Returns the "ap50" of TIDE, and by how much it rises if one kind of error is mended.

    Each of KINDS is mended for itself, so that the figures do not add up. "false_positives" is the
    rise if every false alarm is the last, "false_negatives" that if only the found objects are
    counted. All of them are None without objects and detections.

    crowds: see ``match_image``. With crowds the figures are those of tidecv 1.0.1 / 100, to which
        belong: an image has at most 100 detections; a class without objects has an AP of 0 as long
        as it has detections; at equal scores, what is no hit comes first once something is mended.
    """
    images = [kinds_of_image(*pair, classes, crowds) for pair in pairs]
    columns = list(zip(*images))
    found = Found(*map(np.concatenate, columns[:5]), *(np.sum(one, axis=0) for one in columns[5:]))
    rows = np.flatnonzero(found.counts)
    hit, labels = found.kinds[rows] == HIT, found.labels[rows]
    ap = _mean_ap(labels, found.scores[rows], hit, found.objects)
    rises = {
        name: max(_mean_ap(*_mended(found, kind)) - ap, 0.0) for kind, name in enumerate(KINDS)
    }
    last = _mean_ap(labels, hit.astype(float), hit, found.objects)
    labels, scores, hit, objects = _mended(found, NO_KIND)
    fewer = _mean_ap(labels, scores, hit, objects - found.without_hit)
    rises.update(false_positives=last - ap, false_negatives=fewer - ap)
    if np.isnan(ap):
        rises = dict.fromkeys(rises, ap)
    return {"ap50": plain(ap), **{name: plain(rise) for name, rise in rises.items()}}


def kinds_of_image(
    annotation: Annotation, detections: Detections, classes: int, crowds: bool = True
) -> Found:
    """Returns the detections of an image by their kind; crowds: see ``match_image``."""
    best = np.argsort(-detections.scores, kind="stable")[:MOST]
    boxes, scores = detections.boxes[best], detections.scores[best]
    labels = detections.labels[best].astype(np.int64)
    difficult = annotation.difficult
    # One object more, which nothing overlaps, so that there is a largest IoU in any case.
    objects = np.vstack([annotation.boxes[~difficult], np.zeros((1, 4), np.float32)])
    of_objects = np.append(annotation.labels[~difficult].astype(np.int64), NOTHING)
    iou = pairwise_iou(boxes, objects)
    same = labels[:, None] == of_objects
    own, other = iou * same, iou * ~same
    given = assign(np.where(own >= IOU, own, 0), scores)
    used = np.isin(np.arange(len(of_objects)), given)
    kinds = _kinds(given != NOTHING, own.max(1), other.max(1))
    nearest = np.where((kinds == LOCALISATION)[:, None], own, other).argmax(1)
    mendable = np.isin(kinds, (CLASSIFICATION, LOCALISATION)) & ~used[nearest]
    rows = np.flatnonzero(mendable)
    mended, first = np.full(len(labels), NOTHING), rows[_first_of_each(nearest[rows])]
    mended[first] = of_objects[nearest[first]]
    missed = ~used & ~np.isin(np.arange(len(of_objects)), nearest[rows])
    numbers = (
        np.bincount(of_objects[:-1][which[:-1]], minlength=classes)
        for which in (np.ones_like(used), ~used, missed)
    )
    overlap = share_within if crowds else pairwise_iou
    regions = overlap(boxes, annotation.boxes[difficult]) > IOU
    ignored = (regions & (labels[:, None] == annotation.labels[difficult])).any(1)
    counts = ~ignored | (kinds == HIT)
    return Found(scores, labels, kinds, counts, mended, *numbers)


def _kinds(hit: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the kinds (n,) by the largest IoU with the objects of the own and other classes."""
    conditions = {
        HIT: hit,
        LOCALISATION: (own >= BACKGROUND_IOU) & (own <= IOU),
        CLASSIFICATION: other >= IOU,
        DUPLICATE: own >= IOU,
        BACKGROUND: np.maximum(own, other) <= BACKGROUND_IOU,
    }
    return np.select(list(conditions.values()), list(conditions), BOTH)


def _first_of_each(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_index=True)[1]


def _mended(found: Found, kind: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns labels, scores and hits after a kind of error is mended, and the objects (K,)."""
    wins = (found.kinds == kind) & (found.mended != NOTHING)
    rows = np.flatnonzero(wins | (found.counts & (found.kinds != kind)))
    rows = rows[np.argsort(found.kinds[rows] == HIT, kind="stable")]
    labels = np.where(wins, found.mended, found.labels)[rows]
    hit = (wins | (found.kinds == HIT))[rows]
    objects: np.ndarray = found.objects - found.missed * (kind == MISSED)
    return labels, found.scores[rows], hit, objects


def _mean_ap(labels: np.ndarray, scores: np.ndarray, hit: np.ndarray, objects: np.ndarray) -> float:
    """Returns the mean AP of the classes that have objects or detections, nan without any."""
    order = np.lexsort((-scores, labels))
    ends = np.searchsorted(labels[order], np.arange(1, len(objects)))
    aps = [
        mean_precision(ClassHits(scores[rows], hit[rows], int(count)), RECALLS) if count else 0.0
        for rows, count in zip(np.split(order, ends), objects)
        if len(rows) or count
    ]
    return float(np.mean(aps)) if aps else float("nan")

"""Which object each detection of an image belongs to, whatever their classes."""

from typing import List, NamedTuple

import numpy as np

from detkit.data.sample import Annotation
from detkit.detections import Detections
from detkit.detections.overlap import pairwise_iou, share_within
from detkit.evaluate.hits import Pairs

IOU = 0.5
NOTHING = -1  # the object of a detection that has none
IGNORED = -2  # the object of a detection that does not count


class Matches(NamedTuple):
    """The objects that count and all n detections of a dataset, image by image.

    scores: (n,) float32 of the detections.
    labels: (n,) of the detections.
    found: (n,) int, the label of the object of each detection, NOTHING or IGNORED.
    objects: (K,) int, the number of objects of each class that are not difficult.
    """

    scores: np.ndarray
    labels: np.ndarray
    found: np.ndarray
    objects: np.ndarray


def match_image(
    annotation: Annotation, detections: Detections, iou: float = IOU, crowds: bool = False
) -> np.ndarray:
    """Returns the object (n,) of each detection of an image, or NOTHING, or IGNORED.

    By falling score, a detection gets one of the objects that no better detection has and that it
    overlaps by ``iou``: the one of its own class that it overlaps most, or otherwise the one of any
    class. What has none is IGNORED if it overlaps a difficult object of its class as much.

    crowds: whether difficult objects are crowds, of which a detection need be no more than a part:
        the overlap is then the share of the detection that lies within.
    """
    if not len(detections) or not len(annotation.boxes):
        return np.full(len(detections), NOTHING)
    overlap = pairwise_iou(detections.boxes, annotation.boxes)
    same = detections.labels[:, None] == annotation.labels
    rank = np.where((overlap >= iou) & ~annotation.difficult, overlap + same, 0)
    matched = assign(rank, detections.scores)
    if annotation.difficult.any():
        if crowds:
            overlap = share_within(detections.boxes, annotation.boxes)
        ignored = ((overlap >= iou) & same & annotation.difficult).any(1)
        matched[ignored & (matched == NOTHING)] = IGNORED
    return matched


def assign(rank: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the column (n,) of ``rank`` (n, G) that each detection gets, or NOTHING.

    By falling score, a detection gets the column of its largest rank that no better detection has.
    A rank of 0 is never given.
    """
    free, given = rank.copy(), np.full(len(rank), NOTHING)
    candidates = np.flatnonzero(rank.any(1))
    for row in candidates[np.argsort(-scores[candidates], kind="stable")]:
        best = free[row].argmax()
        if free[row, best] > 0:
            given[row] = best
            free[:, best] = 0
    return given


def match_all(pairs: Pairs, matched: List[np.ndarray], classes: int) -> Matches:
    """Returns the Matches of a dataset of so many classes; matched: of each image."""
    found = [_labels_of(one, annotation) for one, (annotation, _) in zip(matched, pairs)]
    easy = [annotation.labels[~annotation.difficult] for annotation, _ in pairs]
    return Matches(
        np.concatenate([detections.scores for _, detections in pairs]),
        np.concatenate([detections.labels for _, detections in pairs]).astype(np.int64),
        np.concatenate(found),
        np.bincount(np.concatenate(easy), minlength=classes),
    )


def _labels_of(matched: np.ndarray, annotation: Annotation) -> np.ndarray:
    labels = np.append(annotation.labels.astype(np.int64), [IGNORED, NOTHING])
    return labels[matched]

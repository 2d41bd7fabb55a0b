"""Which detections of a class are hits, by VOC's rule, and the curves that hits give."""

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from detkit.data.sample import Annotation
from detkit.detections import Detections
from detkit.detections.overlap import pairwise_iou

Pairs = Sequence[Tuple[Annotation, Detections]]  # what detections.of_dataset.paired returns

NOTHING = -1  # the object of a detection in an image without objects of its class


class ClassHits(NamedTuple):
    """The n detections of a class that count, by falling score, and the number of its objects.

    scores: (n,) float.
    hit: (n,) bool, whether a detection is a hit; the others are false alarms.
    objects: the number of objects of the class that are not difficult.
    """

    scores: np.ndarray
    hit: np.ndarray
    objects: int

    @property
    def recall(self) -> np.ndarray:
        """The recall (n,) of the first 1, 2, ..., n detections; nan without objects."""
        hits = np.cumsum(self.hit)
        return hits / self.objects if self.objects else np.full(len(hits), np.nan)

    @property
    def precision(self) -> np.ndarray:
        """The precision (n,) of the first 1, 2, ..., n detections."""
        return np.cumsum(self.hit) / np.arange(1, len(self.hit) + 1)


def pooled(classes: Sequence[ClassHits]) -> ClassHits:
    """Returns the hits of all classes as those of one, by falling score."""
    scores = np.concatenate([np.zeros(0), *(one.scores for one in classes)])
    hit = np.concatenate([np.zeros(0, bool), *(one.hit for one in classes)])
    falling = np.argsort(-scores, kind="stable")
    return ClassHits(scores[falling], hit[falling], sum(one.objects for one in classes))


class ClassOverlaps(NamedTuple):
    """The n detections of a class in all images, by falling score, and its G objects.

    scores: (n,) float.
    iou: (n,) the largest IoU of a detection with an object of its image.
    best: (n,) the index of that object, or NOTHING.
    difficult: (G,) bool.
    """

    scores: np.ndarray
    iou: np.ndarray
    best: np.ndarray
    difficult: np.ndarray


def overlaps_of(pairs: Pairs, label: int) -> ClassOverlaps:
    """Returns the overlaps of the detections of a label; ties of scores in the dataset's order."""
    return all_overlaps(pairs, label + 1)[label]


def all_overlaps(pairs: Pairs, classes: int) -> List[ClassOverlaps]:
    """Returns the overlaps of the detections of each class, with one pass over the images."""
    scores = np.concatenate([detections.scores for _, detections in pairs]).astype(np.float64)
    labels = np.concatenate([detections.labels for _, detections in pairs])
    of_objects = np.concatenate([annotation.labels for annotation, _ in pairs])
    difficult = np.concatenate([annotation.difficult for annotation, _ in pairs])
    iou, best = np.zeros(len(scores)), np.full(len(scores), NOTHING)
    row, first = 0, 0
    for annotation, detections in pairs:
        rows = slice(row, row + len(detections))
        if len(detections) and len(annotation.boxes):
            own = detections.labels[:, None] == annotation.labels
            overlap = np.where(own, pairwise_iou(detections.boxes, annotation.boxes), NOTHING)
            iou[rows] = np.maximum(overlap.max(1), 0)
            best[rows] = np.where(own.any(1), overlap.argmax(1) + first, NOTHING)
        row, first = row + len(detections), first + len(annotation.boxes)
    found = []
    for label in range(classes):
        own, of_class = np.flatnonzero(labels == label), of_objects == label
        own = own[np.argsort(-scores[own], kind="stable")]
        within = np.append(np.cumsum(of_class) - 1, NOTHING)  # the index among those of the class
        found.append(ClassOverlaps(scores[own], iou[own], within[best[own]], difficult[of_class]))
    return found


def voc_hits(overlaps: ClassOverlaps, threshold: float) -> ClassHits:
    """Returns the hits at an IoU of ``threshold`` by the rule of the VOC devkit's VOCevaldet.m.

    A detection belongs to the object that it overlaps most. It is a hit if their IoU is at least
    the threshold and no better detection belongs to the object. It does not count if the object is
    difficult.
    """
    best = overlaps.best
    enough = (overlaps.iou >= threshold) & (best != NOTHING)
    easy = enough.copy()
    easy[enough] = ~overlaps.difficult[best[enough]]
    candidates = np.flatnonzero(easy)
    hit = np.zeros(len(easy), bool)
    hit[candidates[np.unique(best[candidates], return_index=True)[1]]] = True
    counted = easy | ~enough
    return ClassHits(
        overlaps.scores[counted], hit[counted], int(np.count_nonzero(~overlaps.difficult))
    )

"""Which detections are hits by COCO's rule, at any thresholds of IoU."""

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from pycocotools import mask as coco_masks

from detkit.data.sample import Annotation
from detkit.detections import Detections
from detkit.evaluate.hits import ClassHits, Pairs

IOU = 0.5
AP_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # whose mean is the AP; as COCO rounds them
MOST = 100  # detections of a class in an image that COCO counts


class ClassMatches(NamedTuple):
    """The n detections of a class by falling score, and its objects, in I images.

    scores: (n,) float64.
    images: (n,) the index of the image of each detection.
    hit, ignored: (T, n) bool, at T thresholds of IoU: whether a detection is a hit, and whether it
        does not count.
    objects: (I,) the number of objects of each image that count.
    """

    scores: np.ndarray
    images: np.ndarray
    hit: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray


def coco_hits(pairs: Pairs, classes: int) -> List[ClassHits]:
    """Returns the hits of each class at an IoU of 0.5."""
    hits = []
    for one in coco_matches(pairs, classes, [IOU]):
        counted = ~one.ignored[0]
        hits.append(ClassHits(one.scores[counted], one.hit[0, counted], int(one.objects.sum())))
    return hits


def coco_matches(pairs: Pairs, classes: int, ious: Sequence[float]) -> List[ClassMatches]:
    """Returns the matches of each class, which are those of pycocotools' COCOeval in all areas.

    ious: the T thresholds.

    By falling score, a detection gets the object of its class that it overlaps most of those that
    no better detection has. It does not count if it is within a difficult object instead, COCO's
    crowd, or if its image has MOST better ones of the class.
    """
    thresholds = np.asarray(ious, np.float64)
    found = [match_image(*pair, thresholds) for pair in pairs]
    hit, ignored = (np.concatenate(each, axis=1) for each in zip(*found))
    scores = np.concatenate([detections.scores for _, detections in pairs]).astype(np.float64)
    labels = np.concatenate([detections.labels for _, detections in pairs])
    images = np.repeat(np.arange(len(pairs)), [len(detections) for _, detections in pairs])
    objects = [
        np.bincount(annotation.labels[~annotation.difficult], minlength=classes)
        for annotation, _ in pairs
    ]
    matches = []
    for label, of_images in enumerate(np.array(objects).T):
        own = np.flatnonzero(labels == label)
        own = own[np.argsort(-scores[own], kind="stable")]
        matches.append(
            ClassMatches(scores[own], images[own], hit[:, own], ignored[:, own], of_images)
        )
    return matches


def match_image(
    annotation: Annotation, detections: Detections, thresholds: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Returns which detections of an image are hits and which do not count, (T, n) bool each."""
    falling = np.argsort(-detections.scores, kind="stable")
    judged = falling[rank_in_class(detections.labels[falling]) < MOST]
    hit = np.zeros((len(thresholds), len(detections)), bool)
    ignored = np.ones_like(hit)
    ignored[:, judged] = False
    overlap = overlaps(annotation, detections)
    free = np.tile(~annotation.difficult, (len(thresholds), 1))
    # The others overlap nothing, and there are many of them.
    for row in judged[(overlap[judged] >= thresholds.min()).any(1)]:
        enough = overlap[row] >= thresholds[:, None]
        possible = np.where(enough & free, overlap[row], 0)
        best = len(free.T) - 1 - possible[:, ::-1].argmax(1)  # COCO takes the last of equal ones
        found = np.flatnonzero(possible.any(1))
        hit[found, row] = True
        free[found, best[found]] = False
        ignored[:, row] = ~hit[:, row] & (enough & annotation.difficult).any(1)
    return hit, ignored


def rank_in_class(labels: np.ndarray) -> np.ndarray:
    """Returns how many labels (n,) before each one are the same, (n,)."""
    by_class = np.argsort(labels, kind="stable")
    ordered, rank = labels[by_class], np.empty(len(labels), int)
    rank[by_class] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return rank


def overlaps(annotation: Annotation, detections: Detections) -> np.ndarray:
    """Returns the IoU (n, G) of detections and objects; 0 for those of different classes.

    That with a difficult object is the share of the detection which is within.
    """
    if not len(detections) or not len(annotation.boxes):
        return np.zeros((len(detections), len(annotation.boxes)))
    # pycocotools computes it, because the last bit decides whether a threshold is reached.
    overlap = coco_masks.iou(
        widths(detections.boxes), widths(annotation.boxes), annotation.difficult.astype(np.uint8)
    )
    return np.where(detections.labels[:, None] == annotation.labels, overlap, 0)


def widths(boxes: np.ndarray) -> np.ndarray:
    """Returns boxes (n, 4) as COCO's x, y, width and height, float64."""
    corners = np.asarray(boxes, np.float64)
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])

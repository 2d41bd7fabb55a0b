"""Detections of several overlapping views of one image -> the detections of the image.

A view is a part of the image, or all of it. ``tools/deploy/tiles.cpp`` computes the same.
"""

from dataclasses import replace
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from detkit.detections.detections import Detections
from detkit.detections.overlap import aligned_iou, aligned_share

NMS, SOFT_NMS = "nms", "soft_nms"
RULES = (NMS, SOFT_NMS)
BORDER = 2.0  # pixels: a box that ends so near to an inner border of its view is cut by it
PLAUSIBLE = 0.25  # of a piece's score: the least one of what it gives way to
MIN_SCORE = 1e-3  # what soft-NMS has lowered further is dropped

Corners = Tuple[int, int, int, int]
Near = Dict[int, Tuple[np.ndarray, np.ndarray]]


class Seen(NamedTuple):
    """The detections of a view, in its own pixels, and x1 y1 x2 y2 of the view in the image."""

    found: Detections
    corners: Corners


class _Pairs(NamedTuple):
    """Pairs of boxes that overlap, of one class and of different views; each pair is there twice.

    one, other: (m,) the indices of the two boxes. iou: (m,) their IoU. within: (m,) the share of
    the one that is within the other. around: (m,) the share of the other within the one.
    in_common: (m,) their IoU in the pixels that both views have.
    """

    one: np.ndarray
    other: np.ndarray
    iou: np.ndarray
    within: np.ndarray
    around: np.ndarray
    in_common: np.ndarray


def merged(seen: Sequence[Seen], size: Tuple[int, int], rule: str, iou: float) -> Detections:
    """Returns the detections of an image in its own pixels, the best first.

    seen: at least one view. size: (height, width) of the image in pixels. rule: one of RULES.
    iou: the largest overlap that detections of one class and of different views may have.

    Two steps decide, each within a class and only between different views:

    1. A box that the border of its view cuts is a piece of an object. It gives way to the object
       in another view: to a box, at least a quarter as sure, that holds more than ``iou`` of it;
       and to a larger piece, if the two have an IoU above ``iou`` in the pixels that both views
       have in common. What it gives way to takes the higher score of the two.
    2. NMS among the rest, the best first. The overlap of two boxes is their IoU or, of a piece, the
       share of it that is within the other box. Soft-NMS lowers scores by 1 - overlap instead.
    """
    whole = _joined(seen, size)
    if len(seen) == 1:
        return whole
    corners = np.array([each.corners for each in seen], np.float32)
    numbers = np.repeat(np.arange(len(seen)), [len(each.found) for each in seen])
    cut = _is_cut(whole.boxes, corners[numbers], size)
    pairs = _pairs(whole, corners, numbers)
    stays, scores = _without_pieces(whole, cut, pairs, iou)
    near = _near(stays, cut, pairs, iou)
    kept, scores = (_nms if rule == NMS else _soft_nms)(np.flatnonzero(stays), scores, near)
    return replace(whole, scores=scores)[kept]


def _joined(seen: Sequence[Seen], size: Tuple[int, int]) -> Detections:
    """Returns the detections of all views, one view after the other, in pixels of the image."""
    first = seen[0].found
    moved = [_moved(*each) for each in seen]
    fields = {
        name: np.concatenate([getattr(each, name) for each in moved])
        for name in ("boxes", "scores", "labels", "mask_probs", "keypoints")
        if getattr(first, name) is not None
    }
    return replace(first, **fields, image_size=size if first.has_masks else first.image_size)


def _moved(found: Detections, corners: Corners) -> Detections:
    """Returns the detections of a view in pixels of the image."""
    shift = np.array(corners[:2], np.float32)
    moved = replace(found, boxes=found.boxes + np.tile(shift, 2))
    if found.keypoints is None:
        return moved
    return replace(moved, keypoints=found.keypoints + np.append(shift, np.float32(0)))


def _is_cut(boxes: np.ndarray, views: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns whether each box (n, 4) ends at an inner border of its view (n, 4): (n,) bool."""
    at_lower = (boxes[:, :2] <= views[:, :2] + BORDER) & (views[:, :2] > 0)
    at_upper = (boxes[:, 2:] >= views[:, 2:] - BORDER) & (views[:, 2:] < size[::-1])
    cut: np.ndarray = (at_lower | at_upper).any(axis=1)
    return cut


def _pairs(whole: Detections, corners: np.ndarray, numbers: np.ndarray) -> _Pairs:
    """Returns the pairs of the boxes of views (V, 4); numbers: (n,) the view of each box."""
    ones, others = [], []
    for number, view in enumerate(corners):
        beside = _intersect(corners, view)
        beside[number] = False
        mine, theirs = np.flatnonzero(numbers == number), np.flatnonzero(beside[numbers])
        pairs = whole.labels[mine][:, None] == whole.labels[theirs]
        pairs &= _intersect(whole.boxes[mine][:, None], whole.boxes[theirs])
        rows, columns = np.nonzero(pairs)
        ones.append(mine[rows])
        others.append(theirs[columns])
    one, other = np.concatenate(ones), np.concatenate(others)
    a, b = whole.boxes[one], whole.boxes[other]
    views, other_views = corners[numbers[one]], corners[numbers[other]]
    lower = np.tile(np.maximum(views[:, :2], other_views[:, :2]), 2)
    upper = np.tile(np.minimum(views[:, 2:], other_views[:, 2:]), 2)
    in_common = aligned_iou(np.clip(a, lower, upper), np.clip(b, lower, upper))
    shares = aligned_share(a, b), aligned_share(b, a)
    return _Pairs(one, other, aligned_iou(a, b), *shares, in_common)


def _intersect(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns whether boxes (..., 4) and others (..., 4) have pixels in common."""
    lower = np.maximum(boxes[..., :2], others[..., :2])
    common: np.ndarray = (np.minimum(boxes[..., 2:], others[..., 2:]) > lower).all(axis=-1)
    return common


def _without_pieces(
    whole: Detections, cut: np.ndarray, pairs: _Pairs, iou: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Returns whether each of n boxes gives way to none, (n,) bool, and all scores (n,) after it.

    Whole objects come first, and then the pieces, the largest first. A piece gives way to what
    comes before it, also to a piece that has given way itself: that is how an object of several
    views is found once.
    """
    own, scores = whole.scores, whole.scores.copy()
    areas = (whole.boxes[:, 2:].astype(np.float64) - whole.boxes[:, :2]).prod(axis=1)
    rank = np.empty(len(own), int)
    rank[np.lexsort((-own, -areas, cut))] = np.arange(len(own))
    same = (pairs.within > iou) | (cut[pairs.other] & (pairs.in_common > iou))
    same &= cut[pairs.one] & (rank[pairs.other] < rank[pairs.one])
    same &= own[pairs.other] >= PLAUSIBLE * own[pairs.one]
    one, other, overlap = pairs.one[same], pairs.other[same], pairs.iou[same]
    # The last entry of a key is the one that stays: the highest IoU, and then the first box.
    order = np.lexsort((-other, overlap))
    gives_way = dict(zip(one[order].tolist(), other[order].tolist()))
    to = np.arange(len(own))
    for row in sorted(gives_way, key=lambda each: int(rank[each])):
        to[row] = to[gives_way[row]]
        scores[to[row]] = max(scores[to[row]], own[row])
    return to == np.arange(len(to)), scores


def _near(stays: np.ndarray, cut: np.ndarray, pairs: _Pairs, iou: float) -> Near:
    """Returns {index: (indices, overlaps)} of the boxes that stay and overlap more than ``iou``."""
    overlaps = np.maximum(pairs.iou, np.where(cut[pairs.one], pairs.within, 0))
    overlaps = np.maximum(overlaps, np.where(cut[pairs.other], pairs.around, 0))
    rows = np.flatnonzero((overlaps > iou) & stays[pairs.one] & stays[pairs.other])
    rows = rows[np.argsort(pairs.one[rows], kind="stable")]
    keys, first = np.unique(pairs.one[rows], return_index=True)
    groups = np.split(rows, first[1:]) if len(keys) else []
    return {int(key): (pairs.other[g], overlaps[g]) for key, g in zip(keys, groups)}


def _nms(left: np.ndarray, scores: np.ndarray, near: Near) -> Tuple[List[int], np.ndarray]:
    """Returns the indices of the boxes that are kept, the best first, and the scores (n,)."""
    kept: List[int] = []
    gone = np.zeros(len(scores), bool)
    for row in left[np.argsort(-scores[left], kind="stable")].tolist():
        if not gone[row]:
            kept.append(row)
            if row in near:
                gone[near[row][0]] = True
    return kept, scores


def _soft_nms(left: np.ndarray, scores: np.ndarray, near: Near) -> Tuple[List[int], np.ndarray]:
    """Returns the indices of the boxes that are kept, the best first, and the scores (n,) after it.

    The rule is the linear one of Bodla et al. 2017.
    """
    kept: List[int] = []
    lowered, waits = scores.astype(np.float64), np.full(len(scores), -1.0)
    waits[left] = lowered[left]
    while len(left) and waits.max() >= MIN_SCORE:
        row = int(np.argmax(waits))
        lowered[row], waits[row] = waits[row], -1
        kept.append(row)
        if row in near:
            others, overlaps = near[row]
            waits[others] = np.where(waits[others] >= 0, waits[others] * (1 - overlaps), -1)
    return kept, lowered.astype(np.float32)

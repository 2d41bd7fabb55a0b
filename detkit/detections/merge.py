"""Detections of several overlapping views of one image -> the detections of the image.

A view is a part of the image, or all of it. ``tools/deploy/tiles.cpp`` computes the same.
"""

from dataclasses import replace
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from detkit.detections.detections import Detections
from detkit.detections.overlap import aligned_iou, pairwise_iou, share_within

NMS, SOFT_NMS = "nms", "soft_nms"
RULES = (NMS, SOFT_NMS)
BORDER = 2.0  # pixels: a box that ends so near to an inner border of its view is cut by it
PLAUSIBLE = 0.25  # of a piece's score: the least one of what it gives way to
MIN_SCORE = 1e-3  # what soft-NMS has lowered further is dropped

Corners = Tuple[int, int, int, int]


class Seen(NamedTuple):
    """The detections of a view, in its own pixels, and x1 y1 x2 y2 of the view in the image."""

    found: Detections
    corners: Corners


class _Rows(NamedTuple):
    """Boxes of one class: boxes and views (n, 4), scores (n,), numbers (n,) of the views, cut (n,).

    cut: whether the border of its view, and not of the image, ends a box.
    """

    boxes: np.ndarray
    scores: np.ndarray
    views: np.ndarray
    numbers: np.ndarray
    cut: np.ndarray

    def take(self, rows: np.ndarray) -> "_Rows":
        return _Rows(*(each[rows] for each in self))

    def others(self, row: int, among: np.ndarray) -> np.ndarray:
        """Returns those of the indices ``among`` that another view than that of ``row`` has."""
        chosen: np.ndarray = among[self.numbers[among] != self.numbers[row]]
        return chosen


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
    numbers = np.repeat(np.arange(len(seen)), [len(each.found) for each in seen])
    views = np.array([each.corners for each in seen], np.float64)[numbers]
    cut = _is_cut(whole.boxes, views, size)
    rows = _Rows(whole.boxes, whole.scores, views, numbers, cut)
    kept, scores = [], whole.scores.copy()
    for label in np.unique(whole.labels):
        of_class = np.flatnonzero(whole.labels == label)
        left, raised = _without_pieces(rows.take(of_class), iou)
        of_class = of_class[left]
        candidates = rows.take(of_class)._replace(scores=raised[left])
        chosen, own = (_nms if rule == NMS else _soft_nms)(candidates, iou)
        kept.extend(of_class[chosen].tolist())
        scores[of_class[chosen]] = own
    order = np.array(sorted(kept, key=lambda row: (-scores[row], row)), int)
    return replace(whole, scores=scores)[order]


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
    upper = views[:, 2:] < size[::-1]  # an inner border, not one of the image
    at_lower = (boxes[:, :2] <= views[:, :2] + BORDER) & (views[:, :2] > 0)
    at_upper = (boxes[:, 2:] >= views[:, 2:] - BORDER) & upper
    cut: np.ndarray = (at_lower | at_upper).any(axis=1)
    return cut


def _without_pieces(rows: _Rows, iou: float) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the indices of what gives way to nothing, ascending, and all scores (n,) after it.

    Whole objects come first, and then the pieces, the largest first. A piece gives way to what
    comes before it, also to a piece that has given way itself: that is how an object of several
    views is found once.
    """
    scores, stays = rows.scores.copy(), np.arange(len(rows.boxes))
    areas = (rows.boxes[:, 2:].astype(np.float64) - rows.boxes[:, :2]).prod(axis=1)
    pieces = np.lexsort((-rows.scores, -areas))
    before = np.flatnonzero(~rows.cut).tolist()
    for row in pieces[rows.cut[pieces]].tolist():
        others = rows.others(row, np.array(before, int))
        others = others[rows.scores[others] >= PLAUSIBLE * rows.scores[row]]
        before.append(row)
        box = rows.boxes[row][None]
        same = share_within(box, rows.boxes[others])[0] > iou
        same |= rows.cut[others] & (_iou_in_common(rows, row, others) > iou)
        if same.any():
            others = others[same]
            best = others[np.argmax(pairwise_iou(box, rows.boxes[others])[0])]
            stays[row] = stays[best]
            scores[stays[row]] = max(scores[stays[row]], rows.scores[row])
    return np.flatnonzero(stays == np.arange(len(stays))), scores


def _iou_in_common(rows: _Rows, row: int, others: np.ndarray) -> np.ndarray:
    """Returns the IoU (m,) of a box and others (m,), cut to what the views have in common."""
    lower = np.maximum(rows.views[row, :2], rows.views[others, :2])
    upper = np.maximum(np.minimum(rows.views[row, 2:], rows.views[others, 2:]), lower)
    ends = np.tile(lower, 2), np.tile(upper, 2)
    mine = np.clip(rows.boxes[row][None], *ends)
    return aligned_iou(mine, np.clip(rows.boxes[others], *ends))


def _overlaps(rows: _Rows, row: int, others: np.ndarray) -> np.ndarray:
    """Returns the overlap (m,) of a box with others (m,); see ``merged``."""
    box, boxes = rows.boxes[row][None], rows.boxes[others]
    overlaps = pairwise_iou(box, boxes)[0]
    if rows.cut[row]:
        overlaps = np.maximum(overlaps, share_within(box, boxes)[0])
    theirs = share_within(boxes, box)[:, 0]
    larger: np.ndarray = np.where(rows.cut[others], np.maximum(overlaps, theirs), overlaps)
    return larger


def _nms(rows: _Rows, iou: float) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the boxes that are kept, the best first, and their scores."""
    left, kept = np.argsort(-rows.scores, kind="stable"), []
    while len(left):
        row, left = int(left[0]), left[1:]
        kept.append(row)
        others = rows.others(row, left)
        left = left[~np.isin(left, others[_overlaps(rows, row, others) > iou])]
    chosen = np.array(kept, int)
    return chosen, rows.scores[chosen]


def _soft_nms(rows: _Rows, iou: float) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the boxes that are kept and their scores; linear soft-NMS."""
    scores = rows.scores.astype(np.float64)
    left, kept = np.arange(len(scores)), []
    while len(left):
        row = int(left[np.argmax(scores[left])])
        left = left[left != row]
        kept.append(row)
        others = rows.others(row, left)
        overlaps = _overlaps(rows, row, others)
        scores[others] *= np.where(overlaps > iou, 1 - overlaps, 1)
        left = left[scores[left] >= MIN_SCORE]
    chosen: List[int] = kept
    return np.array(chosen, int), scores[chosen].astype(np.float32)

"""detkit/ops/native/kernels.h in numpy: slow loops, arrays in and arrays out, one per function.

The rules are kernels.h's, in its order; each docstring names the part of it that it follows.
Where two float32 numbers are compared (an IoU with a threshold, two scores), the oracle computes
in float32 as well, because a tie in float32 may be none in float64. Sums are float64.
RoIs and masks are in kernel_roi_oracles.py.
"""

from typing import NamedTuple

import numpy as np

from support import oracles

F32 = np.float32


class Kept(NamedTuple):
    boxes: np.ndarray  # (B, M, 4)
    scores: np.ndarray  # (B, M)
    labels: np.ndarray  # (B, M)
    index: np.ndarray  # (B, M) int32


class Match(NamedTuple):
    index: np.ndarray  # (B, N) int32
    iou: np.ndarray  # (B, N)
    is_best: np.ndarray  # (B, N)
    ignored: np.ndarray  # (B, N)
    best_index: np.ndarray  # (B, G) int32
    best_iou: np.ndarray  # (B, G)


def _side(first, last):
    return max(F32(last) - F32(first), F32(0))


def area(box):
    """float32; an inverted box has none."""
    return _side(box[0], box[2]) * _side(box[1], box[3])


def overlap(box, other):
    width = _side(max(box[0], other[0]), min(box[2], other[2]))
    return width * _side(max(box[1], other[1]), min(box[3], other[3]))


def iou(box, other):
    """float32; NaN for 0 / 0 and inf / inf."""
    with np.errstate(all="ignore"):
        shared = overlap(box, other)
        return shared / (area(box) + area(other) - shared)


def nms(
    boxes, scores, labels, iou, top_k_in=-1, top_k_out=-1, mode="hard", sigma=0.5, min_score=0.0
):
    """detkit_nms: boxes (B, N, 4), scores (B, N), labels (B, N) or None.

    mode is "hard", "linear" or "gaussian". A soft mode drops a row whose score is below min_score
    when its turn comes, decayed or not.
    """
    images, count = scores.shape
    rows = count if top_k_out < 0 else min(count, top_k_out)
    out = Kept(
        np.zeros((images, rows, 4), "float32"),
        -np.ones((images, rows), "float32"),
        -np.ones((images, rows), "float32"),
        -np.ones((images, rows), "int32"),
    )
    for b in range(images):
        group = np.zeros(count, "float32") if labels is None else labels[b]
        if mode == "hard":
            kept = _hard(boxes[b], scores[b], group, iou, top_k_in)
        else:
            kept = _soft(boxes[b], scores[b], group, iou, top_k_in, mode, sigma, min_score)
        for row, (i, score) in enumerate(kept[:rows]):
            out.boxes[b, row], out.scores[b, row] = boxes[b, i], score
            out.labels[b, row], out.index[b, row] = group[i], i
    return out


def _entrants(boxes, scores, top_k_in):
    """Rows with a finite score >= 0 and finite coordinates: the best top_k_in, best first."""
    rows = [
        i for i, s in enumerate(scores) if np.isfinite(s) and s >= 0 and np.isfinite(boxes[i]).all()
    ]
    rows.sort(key=lambda i: -scores[i])  # stable: of equal scores the lower index first
    return rows if top_k_in < 0 else rows[:top_k_in]


def _same(label, other):
    return label == other or (np.isnan(label) and np.isnan(other))


def _hard(boxes, scores, labels, threshold, top_k_in):
    kept = []
    for i in _entrants(boxes, scores, top_k_in):
        rivals = (k for k in kept if _same(labels[k], labels[i]))
        if not any(iou(boxes[k], boxes[i]) > F32(threshold) for k in rivals):
            kept.append(i)
    return [(i, scores[i]) for i in kept]


def _soft(boxes, scores, labels, threshold, top_k_in, mode, sigma, min_score):
    """Bodla et al. 2017, algorithm 1."""
    left = {i: F32(scores[i]) for i in _entrants(boxes, scores, top_k_in)}
    kept = []
    while left:
        best = min(left, key=lambda i: (-left[i], i))
        if left[best] < F32(min_score):
            break
        kept.append((best, left.pop(best)))
        for i in left:
            if _same(labels[i], labels[best]):
                left[i] *= _decay(iou(boxes[i], boxes[best]), threshold, mode, sigma)
    return kept


def _decay(overlap, threshold, mode, sigma):
    if np.isnan(overlap):
        return F32(1)
    if mode == "linear":
        return F32(1) - overlap if overlap > F32(threshold) else F32(1)
    return np.exp(-overlap * overlap / F32(sigma))


def proposals(levels, sizes, pre_nms, post_nms, iou, min_size, weights=(1, 1, 1, 1)):
    """detkit_proposals: boxes (B, R, 4) and scores (B, R).

    levels are (anchors (N, 4), objectness (B, N), deltas (B, N, 4)), sizes (B, 2) h, w. What is
    not finite in objectness doesn't use up a place of pre_nms; a box that isn't finite does.
    """
    total = sum(min(len(anchors), pre_nms) for anchors, _, _ in levels)
    boxes = np.zeros((len(sizes), min(total, post_nms), 4), "float32")
    scores = -np.ones(boxes.shape[:2], "float32")
    for b, size in enumerate(sizes):
        found = [
            row
            for anchors, objectness, deltas in levels
            for row in _level(
                anchors, objectness[b], deltas[b], size, pre_nms, iou, min_size, weights
            )
        ]
        found.sort(key=lambda row: -row[1])
        for row, (box, score) in enumerate(found[:post_nms]):
            boxes[b, row], scores[b, row] = box, score
    return boxes, scores


def _level(anchors, objectness, deltas, size, pre_nms, threshold, min_size, weights):
    order = [i for i in range(len(anchors)) if np.isfinite(objectness[i])]
    order.sort(key=lambda i: -objectness[i])
    kept = []
    for i in order[:pre_nms]:
        with np.errstate(all="ignore"):
            box = np.array(oracles.decode(deltas[i], anchors[i], weights)).astype("float32")
        if not np.isfinite(box).all():
            continue
        box = np.array(oracles.clip(box, size)).astype("float32")
        large = min(box[2] - box[0], box[3] - box[1]) >= F32(max(min_size, 1e-3))
        if large and not any(iou(other, box) > F32(threshold) for other, _ in kept):
            kept.append((box, F32(np.exp(-np.logaddexp(0, -objectness[i].astype("float64"))))))
    return kept


def match(boxes, candidates, objects, labels):
    """detkit_match: boxes (B or 1, N, 4), candidates (B, N) or None, objects (B, G, 4), labels
    (B, G). is_best asks for an overlap: the best of boxes that all miss an object is none."""
    images, count = len(objects), boxes.shape[1]
    found = Match(
        np.zeros((images, count), "int32"),
        *(np.zeros((images, count), "float32") for _ in range(3)),
        -np.ones(labels.shape, "int32"),
        np.zeros(labels.shape, "float32"),
    )
    for b in range(images):
        own = boxes[b if len(boxes) > 1 else 0]
        finite = np.isfinite(own).all(axis=1)
        takes_part = finite if candidates is None else finite & (candidates[b] != 0)
        _match_image(own, takes_part, objects[b], labels[b], Match(*(out[b] for out in found)))
    return found


def _match_image(boxes, takes_part, objects, labels, found):
    for g, (theirs, label) in enumerate(zip(objects, labels)):
        if not np.isfinite(theirs).all():
            continue
        for n in np.flatnonzero(takes_part):
            if label >= 0:
                value = _number(iou(boxes[n], theirs))
                if value > found.iou[n]:
                    found.index[n], found.iou[n] = g, value
                if value > found.best_iou[g]:
                    found.best_index[g], found.best_iou[g] = n, value
            elif label == -2:
                with np.errstate(all="ignore"):
                    share = _number(overlap(boxes[n], theirs) / area(boxes[n]))
                found.ignored[n] = max(found.ignored[n], share)
        for n in np.flatnonzero(takes_part):
            if found.best_iou[g] > 0 and _number(iou(boxes[n], theirs)) == found.best_iou[g]:
                found.is_best[n] = 1


def _number(value):
    return F32(0) if np.isnan(value) else value

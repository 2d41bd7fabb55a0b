"""Non-maximum suppression: greedy on contrib.box_nms, soft step by step."""

from detkit import boxes as box_functions
from detkit.ops.arrays import gather_rows
from detkit.ops.fallback.arrays import descending, finite_boxes, is_finite, keep, label_ids, take

INVALID = -1.0


def _entrants(F, boxes, scores):
    """boxes with zeros for what is no number, and scores, -1 for the rows that take no part."""
    takes_part = finite_boxes(F, boxes) * is_finite(F, scores) * (scores >= 0)
    return keep(F, is_finite(F, boxes), boxes, 0), keep(F, takes_part, scores, INVALID)


def nms(F, boxes, scores, labels, iou, top_k_in=-1, top_k_out=-1):
    """detkit_nms in mode DETKIT_NMS_HARD: boxes (B, M, 4), scores, labels and index (B, M).

    boxes (B, N, 4), scores (B, N), labels (B, N) or None; M = min(N, top_k_out), -1: all.
    The label 3.4028235e38 is taken for NaN.
    """
    boxes, scores = _entrants(F, boxes, scores)
    index = F.broadcast_like(
        F.expand_dims(F.contrib.arange_like(scores, axis=1), axis=0),
        scores,
        lhs_axes=(0,),
        rhs_axes=(0,),
    )
    labels = F.zeros_like(scores) if labels is None else F.cast(labels, dtype="float32")
    columns = (label_ids(F, labels), scores, index, labels)
    # box_nms on (C, N, 6) takes C for the batch: one flat list with an id column is the way.
    rows = F.contrib.box_nms(
        F.concat(*(F.expand_dims(column, axis=2) for column in columns), boxes, dim=2),
        overlap_thresh=iou,
        valid_thresh=-0.5,
        topk=top_k_in,
        id_index=0,
        score_index=1,
        coord_start=4,
    )
    if top_k_out >= 0:
        # slice, unlike slice_axis and topk, accepts an end beyond the axis.
        rows = F.slice(rows, begin=(None, 0), end=(None, top_k_out))
    scores, index, labels = (
        F.squeeze(F.slice_axis(rows, axis=2, begin=c, end=c + 1), axis=2) for c in (1, 2, 3)
    )
    boxes = F.slice_axis(rows, axis=2, begin=4, end=8)
    boxes = F.broadcast_mul(boxes, F.expand_dims(scores >= 0, axis=2))
    return boxes, scores, labels, F.cast(index, dtype="int32")


def soft_nms(
    F, boxes, scores, labels, iou, mode, sigma=0.5, min_score=0.0, top_k_in=-1, top_k_out=-1
):
    """detkit_nms in the modes "linear" and "gaussian" (Bodla et al. 2017): as nms.

    A row whose score is below min_score when its turn comes is dropped, decayed or not. It takes
    M steps over all boxes: set top_k_out. The steps are then operators of the graph, one after the
    other. Without it they are contrib.foreach, which in a hybridized graph of MXNet 1.9.1 may read
    its inputs before they are written, if they take long to compute.
    """
    boxes, scores = _entrants(F, boxes, scores)
    if top_k_in >= 0:
        rank = F.argsort(descending(F, scores), axis=1)
        scores = keep(F, rank < top_k_in, scores, INVALID)
    ids = None if labels is None else label_ids(F, F.cast(labels, dtype="float32"))

    def step(left):
        """The best row of those left, its score, and the scores left after it."""
        best = F.argmax(left, axis=1, keepdims=True)
        overlap = box_functions.iou(F, boxes, gather_rows(F, boxes, best))
        factor = _decay(F, F.squeeze(overlap, axis=2), iou, mode, sigma)
        decays = left >= 0
        if ids is not None:
            decays = decays * F.broadcast_equal(ids, take(F, ids, best))
        after = F.where(decays, left * factor, left)
        taken = F.broadcast_equal(F.expand_dims(F.contrib.arange_like(left, axis=1), axis=0), best)
        return best, F.max(left, axis=1, keepdims=True), keep(F, 1 - taken, after, INVALID)

    index, scores = _loop(F, step, scores, top_k_out)
    kept = (scores >= 0) * (scores >= min_score)
    labels = F.zeros_like(scores) if labels is None else take(F, labels, index)
    return (
        F.broadcast_mul(gather_rows(F, boxes, index), F.expand_dims(kept, axis=2)),
        keep(F, kept, scores, INVALID),
        keep(F, kept, labels, INVALID),
        F.cast(keep(F, kept, index, INVALID), dtype="int32"),
    )


def _loop(F, step, scores, count):
    """Rows and scores (B, M) of as many steps from scores (B, N) on; M = min(N, count), -1: N."""
    rows = F.contrib.arange_like(scores, axis=1)
    if count < 0:
        turns = F.reshape(F.zeros_like(rows), shape=(-1, 1, 1))

        def turn(zero, left):
            *found, left = step(F.broadcast_add(left, zero))  # foreach wants its data to be used
            return found, left

        found, _ = F.contrib.foreach(turn, turns, scores)
        return [F.transpose(F.squeeze(each, axis=2)) for each in found]
    found = []
    for _ in range(count):
        *one, scores = step(scores)
        found.append(one)
    first = F.slice(rows, begin=(0,), end=(count,))  # slice accepts an end beyond the axis
    return [F.take(F.concat(*each, dim=1), first, axis=1) for each in zip(*found)]


def _decay(F, overlap, iou, mode, sigma):
    if mode == "gaussian":
        return F.exp(F.square(overlap) * (-1 / sigma))
    return F.where(overlap > iou, 1 - overlap, F.ones_like(overlap))

"""Non-maximum suppression: greedy by contrib.box_nms, soft step by step."""

from functools import partial
from typing import Callable, List, Optional, Tuple

from detkit import boxes as box_functions
from detkit.ops.arrays import gather_rows
from detkit.ops.fallback.arrays import (
    descending,
    finite_boxes,
    is_finite,
    label_ids,
    take,
    where_or,
)
from detkit.typing import Namespace, Tensor

INVALID = -1.0  # the score, label and index of a row without a box


def _entrants(F: Namespace, boxes: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
    """Returns boxes with zeros for coordinates that are not finite, and their scores.

    A row that takes no part in NMS has the score INVALID.
    """
    takes_part = finite_boxes(F, boxes) * is_finite(F, scores) * (scores >= 0)
    boxes = where_or(F, is_finite(F, boxes), boxes, 0)
    return boxes, where_or(F, takes_part, scores, INVALID)


def _row_numbers(F: Namespace, scores: Tensor) -> Tensor:
    """Returns 0 .. N - 1 for each image, (B, N), from scores (B, N)."""
    numbers = F.expand_dims(F.contrib.arange_like(scores, axis=1), axis=0)
    return F.broadcast_like(numbers, scores, lhs_axes=(0,), rhs_axes=(0,))


def nms(
    F: Namespace,
    boxes: Tensor,
    scores: Tensor,
    labels: Optional[Tensor],
    iou: float,
    top_k_in: int = -1,
    top_k_out: int = -1,
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes detkit_nms in the mode DETKIT_NMS_HARD.

    boxes: (B, N, 4). scores: (B, N). labels: (B, N) or None; 3.4028235e38 counts as NaN.

    Returns boxes (B, M, 4), scores, labels and index (B, M), M = min(N, top_k_out), -1: N.
    """
    boxes, scores = _entrants(F, boxes, scores)
    index = _row_numbers(F, scores)
    labels = F.zeros_like(scores) if labels is None else F.cast(labels, dtype="float32")
    columns = (label_ids(F, labels), scores, index, labels)
    # box_nms takes the first axis of (C, N, 6) for the batch. The classes are therefore one list of
    # rows with a column of labels.
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
    F: Namespace,
    boxes: Tensor,
    scores: Tensor,
    labels: Optional[Tensor],
    iou: float,
    mode: str,
    sigma: float = 0.5,
    min_score: float = 0.0,
    top_k_in: int = -1,
    top_k_out: int = -1,
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes detkit_nms in the mode "linear" or "gaussian" (Bodla et al. 2017).

    The arrays are those of ``nms``. A row is dropped if its score, lowered or not, is below
    min_score when its turn comes.

    It takes M steps over all boxes. If top_k_out is set, the steps are operators of the graph. Set
    it in every hybridized network: without it, the steps are contrib.foreach, which may give wrong
    results there (README.md, "A trap of MXNet").
    """
    boxes, scores = _entrants(F, boxes, scores)
    if top_k_in >= 0:
        rank = F.argsort(descending(F, scores), axis=1)
        scores = where_or(F, rank < top_k_in, scores, INVALID)
    ids = None if labels is None else label_ids(F, F.cast(labels, dtype="float32"))
    decay = partial(_decay, F, iou=iou, mode=mode, sigma=sigma)
    index, scores = _repeated(F, partial(_step, F, boxes, ids, decay), scores, top_k_out)
    kept = (scores >= 0) * (scores >= min_score)
    labels = F.zeros_like(scores) if labels is None else take(F, labels, index)
    return (
        F.broadcast_mul(gather_rows(F, boxes, index), F.expand_dims(kept, axis=2)),
        where_or(F, kept, scores, INVALID),
        where_or(F, kept, labels, INVALID),
        F.cast(where_or(F, kept, index, INVALID), dtype="int32"),
    )


def _step(
    F: Namespace,
    boxes: Tensor,
    ids: Optional[Tensor],
    decay: Callable[[Tensor], Tensor],
    left: Tensor,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns the row (B, 1) with the best score, that score, and the scores of the next step.

    ids: (B, N), equal for boxes that lower each other's scores, or None. decay: the factor (B, N)
        for IoUs (B, N). left: the scores (B, N) of the rows that are left, INVALID for the others.
    """
    best = F.argmax(left, axis=1, keepdims=True)
    overlap = box_functions.iou(F, boxes, gather_rows(F, boxes, best))
    decays = left >= 0
    if ids is not None:
        decays = decays * F.broadcast_equal(ids, take(F, ids, best))
    after = F.where(decays, left * decay(F.squeeze(overlap, axis=2)), left)
    taken = F.broadcast_equal(F.expand_dims(F.contrib.arange_like(left, axis=1), axis=0), best)
    return best, F.max(left, axis=1, keepdims=True), where_or(F, 1 - taken, after, INVALID)


def _repeated(
    F: Namespace,
    step: Callable[[Tensor], Tuple[Tensor, Tensor, Tensor]],
    scores: Tensor,
    count: int,
) -> Tuple[Tensor, Tensor]:
    """Repeats a step, beginning with scores (B, N), and returns the rows and scores (B, M).

    M is min(N, count), or N if count is -1.
    """
    rows = F.contrib.arange_like(scores, axis=1)
    if count < 0:
        turns = F.reshape(F.zeros_like(rows), shape=(-1, 1, 1))

        def turn(zero: Tensor, left: Tensor) -> Tuple[List[Tensor], Tensor]:
            # foreach refuses a body that does not read its data, and therefore zero is added.
            best, score, left = step(F.broadcast_add(left, zero))
            return [best, score], left

        (best, score), _ = F.contrib.foreach(turn, turns, scores)
        return _turns_as_rows(F, best), _turns_as_rows(F, score)
    indices, best_scores = [], []
    for _ in range(count):
        best, score, scores = step(scores)
        indices.append(best)
        best_scores.append(score)
    first = F.slice(rows, begin=(0,), end=(count,))  # slice accepts an end beyond the axis
    joined = F.concat(*indices, dim=1), F.concat(*best_scores, dim=1)
    return F.take(joined[0], first, axis=1), F.take(joined[1], first, axis=1)


def _turns_as_rows(F: Namespace, stacked: Tensor) -> Tensor:
    """Returns the results (N, B, 1) of N turns as (B, N)."""
    return F.transpose(F.squeeze(stacked, axis=2))


def _decay(F: Namespace, overlap: Tensor, iou: float, mode: str, sigma: float) -> Tensor:
    """Returns the factor (B, N) of the scores of boxes whose IoU with the best one is overlap."""
    if mode == "gaussian":
        return F.exp(F.square(overlap) * (-1 / sigma))
    return F.where(overlap > iou, 1 - overlap, F.ones_like(overlap))

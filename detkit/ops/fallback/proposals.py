"""Region proposals from one or several levels."""

from typing import Any, Callable, List, Sequence, Tuple

from detkit import boxes as box_functions
from detkit.constants import MIN_PROPOSAL_SIDE
from detkit.ops.arrays import extent, gather_rows
from detkit.ops.fallback.arrays import descending, is_finite, take, where_or
from detkit.ops.fallback.nms import nms
from detkit.typing import Namespace, Tensor


def proposals(
    F: Namespace,
    levels: Sequence[Sequence[Tensor]],
    sizes: Tensor,
    pre_nms: int,
    post_nms: int,
    iou: float,
    min_size: float,
    weights: Sequence[float] = (1, 1, 1, 1),
    suppress: Callable[..., Any] = nms,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Computes detkit_proposals: boxes (B, R, 4) and scores (B, R), best first.

    levels: for each level anchors (1, N, 4), objectness (B, N) as logits, deltas (B, N, 4).
    sizes: (B, 2), the h and w of the images in pixels.
    suppress: a function with the arguments ``labels`` and ``iou`` of ``nms``, and its results.

    The third result, (B, R) float32, is the place of each anchor among those of all levels, one
    level after another, and -1 in rows without a proposal.
    """
    min_side = max(min_size, MIN_PROPOSAL_SIDE)
    found = [
        _level(F, anchors, objectness, deltas, sizes, pre_nms, iou, min_side, weights, suppress)
        for anchors, objectness, deltas in levels
    ]
    firsts = _firsts(F, [objectness for _, objectness, _ in levels])
    boxes, scores = (F.concat(*each, dim=1) for each in list(zip(*found))[:2])
    anchors = [
        where_or(F, kept >= 0, F.broadcast_add(anchor, first), -1)
        for (_, kept, anchor), first in zip(found, firsts)
    ]
    best = F.slice(descending(F, scores), begin=(None, 0), end=(None, post_nms))
    return (
        gather_rows(F, boxes, best),
        take(F, scores, best),
        take(F, F.concat(*anchors, dim=1), best),
    )


def _firsts(F: Namespace, objectness: Sequence[Tensor]) -> List[Tensor]:
    """Returns the place (1, 1) of the first anchor of each level, from objectness (B, N)."""
    counts = [F.expand_dims(extent(F, level, 1), axis=0) for level in objectness]
    firsts = [F.zeros_like(counts[0])]
    for count in counts[:-1]:
        firsts.append(firsts[-1] + count)
    return firsts


def _level(
    F: Namespace,
    anchors: Tensor,
    objectness: Tensor,
    deltas: Tensor,
    sizes: Tensor,
    pre_nms: int,
    iou: float,
    min_size: float,
    weights: Sequence[float],
    suppress: Callable[..., Any],
) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns the boxes (B, R, 4) and scores (B, R) of a level after NMS, R = min(N, pre_nms).

    The third result, (B, R), is the anchor of each; it has no meaning in rows without a box.
    """
    usable = is_finite(F, objectness)
    # float64, so that logits that are not finite can come after even the smallest float32.
    keys = F.cast(where_or(F, usable, objectness, 0), dtype="float64")
    keys = where_or(F, usable, keys, -1e39)
    best = F.slice(descending(F, keys), begin=(None, 0), end=(None, pre_nms))
    anchors = F.take(F.squeeze(anchors, axis=0), best)
    decoded = box_functions.decode(F, gather_rows(F, deltas, best), anchors, weights)
    # A coordinate that is not finite becomes 0, so that its box has no width or no height.
    boxes = box_functions.clip(F, where_or(F, is_finite(F, decoded), decoded, 0), sizes)
    _, _, w, h = box_functions.centre_size(F, boxes)
    large = F.squeeze(F.minimum(w, h), axis=2) >= min_size
    usable = take(F, usable, best) * large
    scores = where_or(F, usable, F.sigmoid(take(F, objectness, best)), -1)
    boxes, scores, _, row = suppress(F, boxes, scores, labels=None, iou=iou)
    return boxes, scores, take(F, best, F.relu(F.cast(row, dtype="float32")))

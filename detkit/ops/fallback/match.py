"""Matches boxes with the objects that they overlap most."""

from typing import Optional, Tuple

from detkit import boxes as box_functions
from detkit.constants import CROWD
from detkit.ops.fallback.arrays import finite_boxes, is_finite, where_or
from detkit.typing import Namespace, Tensor


def match(
    F: Namespace, boxes: Tensor, candidates: Optional[Tensor], objects: Tensor, labels: Tensor
) -> Tuple[Tensor, ...]:
    """Computes detkit_match, with matrices (B, N, G).

    boxes: (B or 1, N, 4). candidates: (B, N) or None. objects: (B, G, 4). labels: (B, G).

    Returns index, iou, is_best and ignored (B, N), best_index and best_iou (B, G).
    """
    takes_part = F.expand_dims(finite_boxes(F, boxes), axis=2)
    if candidates is not None:
        takes_part = F.broadcast_mul(takes_part, F.expand_dims(candidates != 0, axis=2))
    boxes, real = where_or(F, is_finite(F, boxes), boxes, 0), finite_boxes(F, objects)
    objects = where_or(F, is_finite(F, objects), objects, 0)
    is_object = F.broadcast_mul(takes_part, F.expand_dims(real * (labels >= 0), axis=1))
    is_region = F.broadcast_mul(takes_part, F.expand_dims(real * (labels == CROWD), axis=1))

    shared = _shared(F, boxes, objects)
    own, theirs = box_functions.area(F, boxes), box_functions.area(F, objects)
    union = F.broadcast_add(own, F.transpose(theirs, axes=(0, 2, 1))) - shared
    overlaps = _ratio(F, shared, union) * is_object
    shares = _ratio(F, shared, F.broadcast_like(own, shared)) * is_region

    best_iou = F.max(overlaps, axis=1, keepdims=True)
    is_best = F.broadcast_equal(overlaps, best_iou) * (overlaps > 0)
    best_iou = F.squeeze(best_iou, axis=1)
    return (
        F.cast(F.argmax(overlaps, axis=2), dtype="int32"),
        F.max(overlaps, axis=2),
        F.max(is_best, axis=2),
        F.max(shares, axis=2),
        F.cast(where_or(F, best_iou > 0, F.argmax(overlaps, axis=1), -1), dtype="int32"),
        best_iou,
    )


def _shared(F: Namespace, boxes: Tensor, others: Tensor) -> Tensor:
    """Returns the areas (B, N, G) that boxes (B or 1, N, 4) share with others (B, G, 4)."""
    ax1, ay1, ax2, ay2 = box_functions.corners(F, boxes)
    bx1, by1, bx2, by2 = (F.transpose(c, axes=(0, 2, 1)) for c in box_functions.corners(F, others))
    width = F.relu(F.broadcast_minimum(ax2, bx2) - F.broadcast_maximum(ax1, bx1))
    height = F.relu(F.broadcast_minimum(ay2, by2) - F.broadcast_maximum(ay1, by1))
    return width * height


def _ratio(F: Namespace, part: Tensor, whole: Tensor) -> Tensor:
    """Returns part / whole, or 0 if that is not finite, such as 0 / 0 and inf / inf."""
    ratio = part / whole
    return where_or(F, is_finite(F, ratio), ratio, 0)

"""Matches boxes with the objects that they overlap most."""

from typing import NamedTuple, Optional

from detkit.ops import backend, fallback
from detkit.ops.checks import require_floats
from detkit.typing import Namespace, Tensor


class Match(NamedTuple):
    """The result of ``match`` for B images, N boxes and G objects.

    index: (B, N) int32, the object with the largest IoU, the first one in a tie; 0 if no object
        overlaps the box.
    iou: (B, N), the IoU with that object.
    is_best: (B, N), 1 if no box has a larger IoU with some object.
    ignored: (B, N), the largest share of the box's area that lies in one CROWD region.
    best_index, best_iou: (B, G) int32 and (B, G), the box with the largest IoU with each object,
        the first one in a tie; -1 and 0 if no box overlaps it, and for padding and CROWD regions.
    """

    index: Tensor
    iou: Tensor
    is_best: Tensor
    ignored: Tensor
    best_index: Tensor
    best_iou: Tensor


def match(
    F: Namespace, boxes: Tensor, candidates: Optional[Tensor], objects: Tensor, labels: Tensor
) -> Match:
    """Matches boxes (B or 1, N, 4) with objects (B, G, 4), without an (N, G) matrix of IoUs.

    candidates: (B, N), 0 for boxes that take no part and get 0 everywhere; None if all take part.
    labels: (B, G), >= 0 for an object, CROWD for a region that is ignored, anything else, such as
        PADDING, for padding.
    """
    require_floats("match", boxes=boxes, objects=objects, labels=labels)
    if not backend.native():
        return Match(*fallback.match(F, boxes, candidates, objects, labels))
    arrays = (
        (boxes, objects, labels) if candidates is None else (boxes, objects, labels, candidates)
    )
    return Match(*F.detkit_match(*arrays, selective=int(candidates is not None)))

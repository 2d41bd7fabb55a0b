"""Which object each box overlaps most."""

from typing import Any, NamedTuple

from detkit.ops import backend, fallback


class Match(NamedTuple):
    """What ``match`` finds for B images, N boxes and G objects.

    index (B, N) int32: the object of largest IoU, the first of equals; 0 where none overlaps.
    iou (B, N): that IoU.
    is_best (B, N): 1 where no box has a larger IoU with some object.
    ignored (B, N): the largest share of the box's own area that lies in one CROWD region.
    best_index (B, G) int32, best_iou (B, G): the first box of largest IoU with each object; -1
        and 0 where nothing overlaps it, and for what is no object.
    """

    index: Any
    iou: Any
    is_best: Any
    ignored: Any
    best_index: Any
    best_iou: Any


def match(F, boxes, candidates, objects, labels):
    """Match boxes (B or 1, N, 4) with objects (B, G, 4), without a matrix of N x G.

    candidates (B, N): 0 for boxes that take no part; they have 0 everywhere. None: all do.
    labels (B, G): >= 0 an object, CROWD a region to be ignored, anything else padding.
    """
    if not backend.native():
        return Match(*fallback.match(F, boxes, candidates, objects, labels))
    arrays = (
        (boxes, objects, labels) if candidates is None else (boxes, objects, labels, candidates)
    )
    return Match(*F.detkit_match(*arrays, selective=int(candidates is not None)))

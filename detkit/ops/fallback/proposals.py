"""Region proposals of one or several levels."""

from detkit import boxes as box_functions
from detkit.constants import MIN_PROPOSAL_SIDE
from detkit.ops.arrays import gather_rows
from detkit.ops.fallback.arrays import descending, is_finite, keep, take
from detkit.ops.fallback.nms import nms


def proposals(F, levels, sizes, pre_nms, post_nms, iou, min_size, weights=(1, 1, 1, 1)):
    """detkit_proposals: boxes (B, R, 4) and scores (B, R), best first.

    levels are (anchors (1, N, 4), objectness (B, N) logits, deltas (B, N, 4)), sizes (B, 2) h, w.
    """
    found = [
        _level(F, *level, sizes, pre_nms, iou, max(min_size, MIN_PROPOSAL_SIDE), weights)
        for level in levels
    ]
    boxes = F.concat(*(boxes for boxes, _ in found), dim=1)
    scores = F.concat(*(scores for _, scores in found), dim=1)
    best = F.slice(descending(F, scores), begin=(None, 0), end=(None, post_nms))
    return gather_rows(F, boxes, best), take(F, scores, best)


def _level(F, anchors, objectness, deltas, sizes, pre_nms, iou, min_size, weights):
    """NMS's boxes and scores, min(N, pre_nms) rows."""
    usable = is_finite(F, objectness)
    # As float64, so that even the smallest float32 comes before what is no number.
    keys = F.cast(keep(F, usable, objectness, 0), dtype="float64")
    keys = keep(F, usable, keys, -1e39)
    best = F.slice(descending(F, keys), begin=(None, 0), end=(None, pre_nms))
    anchors = F.take(F.squeeze(anchors, axis=0), best)
    decoded = box_functions.decode(F, gather_rows(F, deltas, best), anchors, weights)
    # A side that is not finite moves to 0, which leaves its box no width or no height.
    boxes = box_functions.clip(F, keep(F, is_finite(F, decoded), decoded, 0), sizes)
    _, _, w, h = box_functions.centre_size(F, boxes)
    large = F.squeeze(F.minimum(w, h), axis=2) >= min_size
    usable = take(F, usable, best) * large
    scores = keep(F, usable, F.sigmoid(take(F, objectness, best)), -1)
    boxes, scores, _, _ = nms(F, boxes, scores, None, iou)
    return boxes, scores

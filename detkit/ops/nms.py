"""Non-maximum suppression on contrib.box_nms."""

from detkit.ops.rows import finite

INVALID = -1.0


def nms(F, boxes, scores, iou, top_k_in=-1, top_k_out=-1, labels=None):
    """Greedy NMS, image by image, within one label or over all boxes where labels are None.

    boxes (B, N, 4), scores (B, N) in [0, 1], labels (B, N). A row with a negative or non-finite
    score takes no part. At most ``top_k_in`` best rows enter, at most ``top_k_out`` come out
    (-1: all). A box is dropped when its IoU with a better one is above ``iou``.

    Returns boxes (B, M, 4), scores (B, M), labels (B, M), best first, M = min(N, top_k_out); rows
    without a box hold zeros, score -1 and label -1.
    """
    scores = F.expand_dims(finite(F, scores, INVALID), axis=2)
    ids = F.zeros_like(scores) if labels is None else F.expand_dims(labels, axis=2)
    # box_nms on (C, N, 6) takes C for the batch: one flat list with an id column is the way.
    rows = F.contrib.box_nms(
        F.concat(ids, scores, boxes, dim=2),
        overlap_thresh=iou,
        valid_thresh=-0.5,
        topk=top_k_in,
        id_index=0,
        score_index=1,
        coord_start=2,
        force_suppress=labels is None,
    )
    if top_k_out >= 0:
        # slice, unlike slice_axis and topk, accepts an end beyond the axis.
        rows = F.slice(rows, begin=(None, 0), end=(None, top_k_out))
    labels, scores, boxes = (
        F.slice_axis(rows, axis=2, begin=begin, end=end) for begin, end in ((0, 1), (1, 2), (2, 6))
    )
    boxes = F.broadcast_mul(boxes, scores >= 0)
    return boxes, F.squeeze(scores, axis=2), F.squeeze(labels, axis=2)

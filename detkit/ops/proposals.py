"""Region proposals: from what the RPN says of its anchors to the boxes worth a second look."""

from detkit.ops import backend, fallback


def proposals(F, levels, sizes, pre_nms, post_nms, iou, min_size, weights):
    """The best anchors, decoded, clipped and thinned out (Ren et al. 2015, section 3.3).

    levels: for each level anchors (1, N, 4), objectness logits (B, N), deltas (B, N, 4).
    sizes: (B, 2) h, w of the images.
    pre_nms: so many best anchors of a level are decoded; those with a side below ``min_size``
        pixels are dropped, and NMS at ``iou`` takes the rest. post_nms: so many best boxes of all
        levels are kept. (The order of torchvision and Detectron2; py-faster-rcnn drops the small
        ones first.)
    weights: divide the deltas dx dy dw dh.

    Returns boxes (B, R, 4) and scores (B, R), the sigmoid of the objectness, best first,
    R = min(anchors that enter NMS, post_nms). Rows without a proposal hold zeros and score -1.
    """
    if not backend.native():
        return fallback.proposals(F, levels, sizes, pre_nms, post_nms, iou, min_size, weights)
    arrays = [array for level in levels for array in level]
    return F.detkit_proposals(
        sizes,
        *arrays,
        levels=len(levels),
        pre_nms=pre_nms,
        post_nms=post_nms,
        iou=iou,
        min_size=min_size,
        weights=tuple(weights),
    )

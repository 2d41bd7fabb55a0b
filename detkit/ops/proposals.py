"""Region proposals: the RPN's output for the anchors -> boxes for the second stage."""

from typing import Sequence, Tuple

from detkit.ops import backend, fallback
from detkit.ops.checks import require_finite, require_floats, require_positive
from detkit.typing import Namespace, Tensor


def proposals(
    F: Namespace,
    levels: Sequence[Sequence[Tensor]],
    sizes: Tensor,
    pre_nms: int,
    post_nms: int,
    iou: float,
    min_size: float,
    weights: Sequence[float],
) -> Tuple[Tensor, Tensor]:
    """Decodes the best anchors, clips them and applies NMS (Ren et al. 2015, section 3.3).

    levels: for each level anchors (1, N, 4), objectness (B, N) as logits, deltas (B, N, 4).
    sizes: (B, 2), the h and w of the images in pixels.
    pre_nms: how many of the best anchors of a level are decoded. Boxes with a side below
        ``min_size`` pixels are dropped after that, and NMS at ``iou`` gets the rest, as in
        torchvision and Detectron2. (py-faster-rcnn drops the small boxes first.)
    post_nms: how many of the best boxes of all levels are returned.
    weights: the divisors of the deltas dx dy dw dh.

    Returns boxes (B, R, 4) and scores (B, R), the sigmoid of the objectness, best first, with
    R = min(anchors that enter NMS, post_nms). Rows without a proposal hold zeros and the score -1.
    """
    arrays = [array for level in levels for array in level]
    require_floats("proposals", **{f"levels {n}": array for n, array in enumerate(arrays)})
    require_finite("proposals", iou=iou, min_size=min_size)
    require_positive("proposals", weights=tuple(weights))
    if not backend.native():
        return fallback.proposals(F, levels, sizes, pre_nms, post_nms, iou, min_size, weights)
    boxes, scores = F.detkit_proposals(
        sizes,
        *arrays,
        levels=len(levels),
        pre_nms=pre_nms,
        post_nms=post_nms,
        iou=iou,
        min_size=min_size,
        weights=tuple(weights),
    )
    return boxes, scores

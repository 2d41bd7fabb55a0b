"""Region proposals: the RPN's output for the anchors -> boxes for the second stage."""

from typing import List, Sequence, Tuple

from detkit.ops import backend, fallback
from detkit.ops.checks import require_finite, require_floats, require_positive
from detkit.ops.nms import nms
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
    arrays = _check("proposals", levels, iou, min_size, weights)
    if not backend.native():
        limits = pre_nms, post_nms, iou, min_size
        return fallback.proposals(F, levels, sizes, *limits, weights)[:2]
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


def traced_proposals(
    F: Namespace,
    levels: Sequence[Sequence[Tensor]],
    sizes: Tensor,
    pre_nms: int,
    post_nms: int,
    iou: float,
    min_size: float,
    weights: Sequence[float],
) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns what ``proposals`` does, and the anchors (B, R) that the boxes were made of.

    An anchor is its place among those of all levels, one level after another, as float32; it is -1
    in rows without a proposal. MXNet's operators do all but NMS, which takes longer.
    """
    _check("traced_proposals", levels, iou, min_size, weights)
    limits = pre_nms, post_nms, iou, min_size
    return fallback.proposals(F, levels, sizes, *limits, weights, nms)


def _check(
    operator: str,
    levels: Sequence[Sequence[Tensor]],
    iou: float,
    min_size: float,
    weights: Sequence[float],
) -> List[Tensor]:
    """Returns the arrays of all levels, of which the number types are checked."""
    arrays = [array for level in levels for array in level]
    require_floats(operator, **{f"levels {n}": array for n, array in enumerate(arrays)})
    require_finite(operator, iou=iou, min_size=min_size)
    require_positive(operator, weights=tuple(weights))
    return arrays

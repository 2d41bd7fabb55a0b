"""Non-maximum suppression, hard and soft."""

from typing import Optional, Tuple

from detkit.ops import backend, fallback
from detkit.ops.checks import require_finite, require_floats, require_positive
from detkit.typing import Namespace, Tensor

HARD, LINEAR, GAUSSIAN = "hard", "linear", "gaussian"
_MODES = {HARD: 0, LINEAR: 1, GAUSSIAN: 2}

Kept = Tuple[Tensor, Tensor, Tensor, Tensor]  # boxes, scores, labels, index


def nms(
    F: Namespace,
    boxes: Tensor,
    scores: Tensor,
    iou: float,
    top_k_in: int = -1,
    top_k_out: int = -1,
    labels: Optional[Tensor] = None,
) -> Kept:
    """Applies greedy NMS to each image: a box is dropped if its IoU with a better one is too large.

    boxes, scores: (B, N, 4) and (B, N). A row takes part if its score is finite and not negative
        and its coordinates are finite.
    iou: the largest IoU that a kept box has with a better one.
    top_k_in, top_k_out: how many of the best rows enter and how many leave, at most; -1 is all. In
        a tie of scores, the first row is the better one.
    labels: (B, N), only boxes of one label are compared with each other; None compares all boxes.

    Returns boxes (B, M, 4), scores (B, M), labels (B, M) and index (B, M) int32, which are the rows
    that they come from, best first, with M = min(N, top_k_out). Rows without a box hold zeros, and
    -1 as score, label and index. Without labels, the label of a kept box is 0.
    """
    require_floats("nms", boxes=boxes, scores=scores)
    require_finite("nms", iou=iou)
    if not backend.native():
        return fallback.nms(F, boxes, scores, labels, iou, top_k_in, top_k_out)
    return _native(F, boxes, scores, labels, HARD, top_k_out, iou=iou, top_k_in=top_k_in)


def soft_nms(
    F: Namespace,
    boxes: Tensor,
    scores: Tensor,
    top_k_out: int,
    mode: str = LINEAR,
    iou: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    labels: Optional[Tensor] = None,
    top_k_in: int = -1,
) -> Kept:
    """Applies soft-NMS (Bodla et al. 2017): a better box lowers the scores of its neighbours.

    top_k_out: how many of the best rows leave, at most. -1, which is all, is not for a hybridized
        network with MXNet's operators (README.md, "A trap of MXNet").
    mode: ``linear``: score * (1 - IoU) if the IoU is above ``iou``; ``gaussian``:
        score * exp(-IoU ** 2 / sigma).
    min_score: a box is dropped if its score falls below this.

    The other arguments and the results are those of ``nms``; the scores are the lowered ones.
    """
    require_floats("soft_nms", boxes=boxes, scores=scores)
    require_finite("soft_nms", iou=iou, min_score=min_score)
    require_positive("soft_nms", sigma=sigma)
    if not backend.native():
        return fallback.soft_nms(
            F, boxes, scores, labels, iou, mode, sigma, min_score, top_k_in, top_k_out
        )
    return _native(F, boxes, scores, labels, mode, top_k_out, iou, top_k_in, sigma, min_score)


def _native(
    F: Namespace,
    boxes: Tensor,
    scores: Tensor,
    labels: Optional[Tensor],
    mode: str,
    top_k_out: int,
    iou: float,
    top_k_in: int = -1,
    sigma: float = 1.0,
    min_score: float = 0.0,
) -> Kept:
    arrays = (boxes, scores) if labels is None else (boxes, scores, labels)
    boxes, scores, labels, index = F.detkit_nms(
        *arrays,
        labelled=int(labels is not None),
        mode=_MODES[mode],
        top_k_in=top_k_in,
        top_k_out=top_k_out,
        iou=iou,
        sigma=sigma,
        min_score=min_score,
    )
    return boxes, scores, labels, index

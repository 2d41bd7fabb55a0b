"""Non-maximum suppression, hard and soft."""

from detkit.ops import backend, fallback

HARD, LINEAR, GAUSSIAN = "hard", "linear", "gaussian"
_MODES = {HARD: 0, LINEAR: 1, GAUSSIAN: 2}


def nms(F, boxes, scores, iou, top_k_in=-1, top_k_out=-1, labels=None):
    """Greedy NMS, image by image, within one label or over all boxes where labels are None.

    boxes (B, N, 4), scores (B, N), labels (B, N). A row takes part if its score is finite and not
    negative and its coordinates are finite. At most ``top_k_in`` best rows enter, at most
    ``top_k_out`` come out (-1: all); of equal scores the first row is the better. A box is dropped
    when its IoU with a better one is above ``iou``.

    Returns boxes (B, M, 4), scores (B, M), labels (B, M), and the rows they come from, index
    (B, M) int32, best first, M = min(N, top_k_out). Rows without a box hold zeros, score, label and
    index -1; without labels, the label of a kept box is 0.
    """
    if not backend.native():
        return fallback.nms(F, boxes, scores, labels, iou, top_k_in, top_k_out)
    return _native(F, boxes, scores, labels, HARD, top_k_out, iou=iou, top_k_in=top_k_in)


def soft_nms(
    F,
    boxes,
    scores,
    top_k_out,
    mode=LINEAR,
    iou=0.3,
    sigma=0.5,
    min_score=1e-3,
    labels=None,
    top_k_in=-1,
):
    """Soft-NMS (Bodla et al. 2017): boxes beside a better one lose score instead of going.

    mode: ``linear``: score * (1 - IoU) where the IoU is above ``iou``; ``gaussian``:
        score * exp(-IoU ** 2 / sigma).
    min_score: a box whose score falls below it is dropped.

    Arrays and counts as for ``nms``; the scores returned are the lessened ones.
    """
    how = {"iou": iou, "sigma": sigma, "min_score": min_score, "top_k_in": top_k_in}
    if not backend.native():
        return fallback.soft_nms(F, boxes, scores, labels, mode=mode, top_k_out=top_k_out, **how)
    return _native(F, boxes, scores, labels, mode, top_k_out, **how)


def _native(F, boxes, scores, labels, mode, top_k_out, iou, top_k_in=-1, sigma=1.0, min_score=0.0):
    arrays = (boxes, scores) if labels is None else (boxes, scores, labels)
    return F.detkit_nms(
        *arrays,
        labelled=int(labels is not None),
        mode=_MODES[mode],
        top_k_in=top_k_in,
        top_k_out=top_k_out,
        iou=iou,
        sigma=sigma,
        min_score=min_score,
    )

"""Non-maximum suppression of detections: what becomes of boxes that overlap a better one.

Each kind is called within the graph, with ``F``; the boxes of one class leave another's alone.
"""

from detkit import ops
from detkit.registry import NMS


@NMS.register("hard")
class HardNMS:
    """A box is dropped when its IoU with a better one is above the threshold."""

    def __call__(self, F, boxes, scores, labels, iou, top_k_in, top_k_out):
        """Boxes (B, M, 4), scores (B, M) and labels (B, M), best first; rows without a box: -1.

        boxes (B, N, 4); scores (B, N), negative for a row that takes no part; labels (B, N). At
        most ``top_k_in`` best rows enter, and at most ``top_k_out`` leave; -1: all.
        """
        how = {"top_k_in": top_k_in, "top_k_out": top_k_out, "labels": labels}
        return ops.nms(F, boxes, scores, iou, **how)[:3]


class _SoftNMS:
    """Boxes that overlap a better one lose score (Bodla et al. 2017, section 3)."""

    def __init__(self, mode, min_score, **how):
        if not 0 <= min_score < 1:
            raise ValueError(f"min_score: expected a number in [0, 1), found {min_score}")
        self._how = {"mode": mode, "min_score": min_score, **how}

    def __call__(self, F, boxes, scores, labels, iou, top_k_in, top_k_out):
        """As HardNMS; the scores are what is left of them."""
        how = {"top_k_in": top_k_in, "iou": iou, "labels": labels, **self._how}
        return ops.soft_nms(F, boxes, scores, top_k_out, **how)[:3]


@NMS.register("linear")
class LinearNMS(_SoftNMS):
    """Soft-NMS: the score times 1 - IoU where the IoU is above the threshold.

    Bodla et al. 2017, equation 2; their threshold is 0.3.

    min_score: a box whose score falls below it is dropped.
    """

    def __init__(self, min_score: float = 1e-3):
        super().__init__("linear", min_score)


@NMS.register("gaussian")
class GaussianNMS(_SoftNMS):
    """Soft-NMS: the score times exp(-IoU^2 / sigma), without a threshold.

    Bodla et al. 2017, equation 3.

    sigma: the smaller, the more a box that overlaps a better one loses.
    min_score: a box whose score falls below it is dropped.
    """

    def __init__(self, sigma: float = 0.5, min_score: float = 1e-3):
        if sigma <= 0:
            raise ValueError(f"sigma: expected a number above 0, found {sigma}")
        super().__init__("gaussian", min_score, sigma=sigma)

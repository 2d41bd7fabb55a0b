"""Non-maximum suppression (NMS) of detections: boxes that overlap a better one lose score.

Each kind is called within the graph, with ``F``. Boxes of different classes do not affect each
other.
"""

from typing import Any, Tuple

from detkit import ops
from detkit.registry import NMS
from detkit.typing import Namespace, Tensor


@NMS.register("hard")
class HardNMS:
    """NMS that drops a box if its IoU with a better one is above the threshold."""

    def __call__(
        self,
        F: Namespace,
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        iou: float,
        top_k_in: int,
        top_k_out: int,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (B, M, 4), scores (B, M) and labels (B, M), best first.

        Rows without a box hold -1.

        boxes (B, N, 4); scores (B, N), negative for a row that takes no part; labels (B, N).
        iou: the threshold. top_k_in, top_k_out: the largest numbers of rows of an image before and
        after NMS; -1: all.
        """
        how = {"top_k_in": top_k_in, "top_k_out": top_k_out, "labels": labels}
        return ops.nms(F, boxes, scores, iou, **how)[:3]


class _SoftNMS:
    """The base of Soft-NMS: boxes that overlap a better one keep a part of their score.

    Bodla et al. 2017, section 3.
    """

    def __init__(self, mode: str, min_score: float, **how: Any) -> None:
        if not 0 <= min_score < 1:
            raise ValueError(f"min_score: expected a number in [0, 1), found {min_score}")
        self._how = {"mode": mode, "min_score": min_score, **how}

    def __call__(
        self,
        F: Namespace,
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        iou: float,
        top_k_in: int,
        top_k_out: int,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns what HardNMS does, with reduced scores; the arguments are those of HardNMS."""
        how = {"top_k_in": top_k_in, "iou": iou, "labels": labels, **self._how}
        return ops.soft_nms(F, boxes, scores, top_k_out, **how)[:3]


@NMS.register("linear")
class LinearNMS(_SoftNMS):
    """Soft-NMS that multiplies a score by 1 - IoU if the IoU is above the threshold.

    Bodla et al. 2017, equation 2; their threshold is 0.3.

    min_score: in [0, 1); a box whose score falls below it is dropped.
    """

    def __init__(self, min_score: float = 1e-3) -> None:
        super().__init__("linear", min_score)


@NMS.register("gaussian")
class GaussianNMS(_SoftNMS):
    """Soft-NMS that multiplies a score by exp(-IoU^2 / sigma), without a threshold.

    Bodla et al. 2017, equation 3.

    sigma: above 0; the smaller it is, the more score an overlapping box loses.
    min_score: in [0, 1); a box whose score falls below it is dropped.
    """

    def __init__(self, sigma: float = 0.5, min_score: float = 1e-3) -> None:
        if sigma <= 0:
            raise ValueError(f"sigma: expected a number above 0, found {sigma}")
        super().__init__("gaussian", min_score, sigma=sigma)

"""Box voting: the boxes that NMS suppressed still help to place the detection."""

from mxnet.gluon import HybridBlock

from detkit import boxes
from detkit.typing import Namespace, Tensor

TINY = 1e-12  # a sum of weights below this is no vote


class BoxVoting(HybridBlock):
    """Bounding box voting (Gidaris and Komodakis 2015, section 5).

    Each detection is moved to the mean of the candidates around it, weighted by their scores.

    iou: in [0, 1). The candidates of a detection's class vote for it if their IoU with it is above
        ``iou``.
    """

    def __init__(self, iou: float = 0.5) -> None:
        super().__init__()
        if not 0 <= iou < 1:
            raise ValueError(f"iou: expected a number in [0, 1), found {iou}")
        self._iou = iou

    def hybrid_forward(
        self,
        F: Namespace,
        found: Tensor,
        found_labels: Tensor,
        candidates: Tensor,
        scores: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Returns the boxes (B, D, 4) of the detections after the vote.

        A detection without a vote, such as a degenerate one, stays where it is. Some arrays of
        B x D x P numbers are needed.

        found (B, D, 4) and found_labels (B, D) are the detections; candidates (B, P, 4), scores
        (B, P) and labels (B, P) are the input of NMS, with negative scores in rows of padding.
        """
        near = boxes.iou(F, found, candidates) > self._iou
        same = F.broadcast_equal(F.expand_dims(found_labels, axis=2), F.expand_dims(labels, axis=1))
        weights = F.broadcast_mul(near * same, F.expand_dims(F.relu(scores), axis=1))
        total = F.sum(weights, axis=2, keepdims=True)
        shares = F.broadcast_div(weights, F.maximum(total, TINY))
        voted = F.batch_dot(shares, candidates)
        return F.where(F.broadcast_like(total, found) > TINY, voted, found)

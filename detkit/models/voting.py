"""Box voting: the boxes that were suppressed still say where the object is."""

from mxnet.gluon import HybridBlock

from detkit import boxes

TINY = 1e-12  # of a sum of weights; below, there was no vote


class BoxVoting(HybridBlock):
    """Moves each detection to the mean of the candidates around it, weighted by their scores.

    Gidaris and Komodakis 2015, section 5, "bounding box voting".

    iou: candidates of a detection's class vote for it if their IoU with it is above ``iou``.
    """

    def __init__(self, iou: float = 0.5):
        super().__init__()
        if not 0 <= iou < 1:
            raise ValueError(f"iou: expected a number in [0, 1), found {iou}")
        self._iou = iou

    def hybrid_forward(self, F, found, found_labels, candidates, scores, labels):
        """The boxes (B, D, 4) of detections ``found`` (B, D, 4) after the vote.

        found_labels (B, D); candidates (B, P, 4), scores (B, P) and labels (B, P) are what NMS was
        given, with scores below 0 in rows that are none. A detection that nobody votes for, as one
        without an area, stays where it is. Memory: some arrays of B x D x P numbers.
        """
        near = boxes.iou(F, found, candidates) > self._iou
        same = F.broadcast_equal(F.expand_dims(found_labels, axis=2), F.expand_dims(labels, axis=1))
        weights = F.broadcast_mul(near * same, F.expand_dims(F.relu(scores), axis=1))
        total = F.sum(weights, axis=2, keepdims=True)
        shares = F.broadcast_div(weights, F.maximum(total, TINY))
        voted = F.batch_dot(shares, candidates)
        return F.where(F.broadcast_like(total, found) > TINY, voted, found)

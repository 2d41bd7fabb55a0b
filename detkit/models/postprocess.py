"""Postprocessing: class scores and box deltas of the proposals -> detections."""

from typing import Any, Optional, Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.models.suppression import HardNMS
from detkit.models.voting import BoxVoting
from detkit.registry import NMS, POSTPROCESS

# Boxes thinner than this are nothing a user wants (torchvision drops them likewise).
MIN_SIDE = 1e-2
SOFTMAX, SIGMOID = "softmax", "sigmoid"  # how class logits become scores


@POSTPROCESS.register()
class Postprocess(HybridBlock):
    """Score, decode, clip, score floor, NMS within each class, the best ``max_detections``.

    score_floor: detections at or below it are dropped.
    nms_iou: threshold of the NMS within a class; "gaussian" has none.
    pre_nms: how many candidates of an image, of all classes together, enter it at most; MXNet's
        NMS takes time for every row, also for those below the floor.
    box_weights: divide the deltas dx dy dw dh; RoITargets uses the same.
    max_log_scale: dw and dh are at most that.
    clip: cut the boxes at the image's border; GluonCV's networks do not.
    min_side: boxes with a shorter side, pixels, are dropped.
    scores: "softmax" of all logits of a RoI, for a head trained by CrossEntropy; "sigmoid" of each
        logit, for one trained by SigmoidBCE or SigmoidFocal. Both drop the background's, logit 0.
    nms: "hard", "linear" or "gaussian", see suppression.py; null: hard. A soft one may return
        scores below the floor, which says what enters.
    voting: moves the boxes that are left, see BoxVoting; null: they stay. The candidates are those
        that enter the NMS.
    """

    PARTS = {"nms": NMS, "voting": BoxVoting}

    def __init__(
        self,
        score_floor: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        pre_nms: int = 2000,
        box_weights: Tuple[float, float, float, float] = (10, 10, 5, 5),
        max_log_scale: float = boxes.MAX_LOG_SCALE,
        clip: bool = True,
        min_side: float = MIN_SIDE,
        scores: str = SOFTMAX,
        nms: Optional[Any] = None,
        voting: Optional[BoxVoting] = None,
    ):
        super().__init__()
        if scores not in (SOFTMAX, SIGMOID):
            raise ValueError(f"scores: expected {SOFTMAX!r} or {SIGMOID!r}, found {scores!r}")
        if max_detections < 1 or pre_nms < 1 or not 0 < nms_iou <= 1:
            raise ValueError("max_detections and pre_nms are at least 1, and nms_iou is in (0, 1]")
        self._score_floor, self._nms_iou = score_floor, nms_iou
        self._pre_nms, self._max_detections = pre_nms, max_detections
        self.box_weights, self._max_log_scale = box_weights, max_log_scale
        self._clip, self._min_side = clip, min_side
        self.scores = scores
        self.nms = HardNMS() if nms is None else nms
        with self.name_scope():
            self.voting = voting

    def hybrid_forward(self, F, proposals, proposal_scores, class_logits, box_deltas, sizes):
        """Boxes (B, D, 4), scores (B, D), labels (B, D), best first; rows without one: -1.

        proposals (B, R, 4); proposal_scores (B, R), negative where there is no proposal;
        class_logits (B * R, 1 + K); box_deltas (B * R, K or 1, 4); sizes (B, 2) h, w.
        """
        probabilities = probabilities_of(F, class_logits, self.scores)
        probabilities = F.slice_axis(probabilities, axis=1, begin=1, end=None)
        scores = _per_image(F, probabilities, proposals)  # (B, R, K)
        deltas = _per_image(F, box_deltas, proposals)  # (B, R, K or 1, 4)
        decoded = boxes.decode(
            F, deltas, F.expand_dims(proposals, axis=2), self.box_weights, self._max_log_scale
        )
        # A class-agnostic box stands for every class.
        decoded = F.broadcast_add(decoded, F.zeros_like(F.expand_dims(scores, axis=3)))

        # One flat list of boxes per image, (B, R * K, ...), each with its class.
        labels = F.reshape(F.contrib.arange_like(scores, axis=2), shape=(1, 1, -1))
        labels = F.reshape(F.broadcast_add(F.zeros_like(scores), labels), shape=(0, -1))
        found = F.broadcast_greater_equal(F.expand_dims(proposal_scores, axis=2), scores * 0)
        scores = F.reshape(F.where(found, scores, F.ones_like(scores) * -1), shape=(0, -1))
        decoded = F.reshape(decoded, shape=(0, -3, 4))
        return self._detections(F, decoded, scores, labels, sizes, self._pre_nms)

    def _detections(self, F, candidates, scores, labels, sizes, pre_nms=-1):
        """What hybrid_forward returns, of candidates (B, N, 4), scores and labels (B, N)."""
        candidates = ops.finite(F, candidates, 0)
        if self._clip:
            candidates = boxes.clip(F, candidates, sizes)
        _, _, w, h = boxes.centre_size(F, candidates)
        kept = F.squeeze(F.minimum(w, h) >= self._min_side, axis=2) * (scores > self._score_floor)
        scores = F.where(kept, scores, F.ones_like(scores) * -1)
        if self.voting and pre_nms >= 0:  # all that enter are looked at again
            scores, row = best(F, scores, pre_nms)
            candidates = ops.gather_rows(F, candidates, row)
            labels = F.squeeze(ops.gather_rows(F, F.expand_dims(labels, axis=2), row), axis=2)
        found, found_scores, found_labels = self.nms(
            F, candidates, scores, labels, self._nms_iou, pre_nms, self._max_detections
        )
        if self.voting:
            found = self.voting(found, found_labels, candidates, scores, labels)
        return found, found_scores, found_labels


def _per_image(F, rows, rois):
    """(B * R, ...) -> (B, R, ...), where rois are (B, R, 4)."""
    return F.reshape_like(rows, rois, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)


def probabilities_of(F, class_logits, scores):
    """Probabilities (M, 1 + K) of class logits (M, 1 + K), as ``Postprocess.scores`` says."""
    return F.softmax(class_logits, axis=1) if scores == SOFTMAX else F.sigmoid(class_logits)


def best(F, scores, count):
    """The best of scores (B, N), and where they are: (B, M) each, M = min(N, count), best first.

    A score that is not a number comes last, as a -1 at 0. This is an NMS in which no box touches
    another: unlike topk, it takes what there is, and of equal scores the first.
    """
    nowhere = F.broadcast_axis(F.expand_dims(F.zeros_like(scores), axis=2), axis=2, size=4)
    _, scores, _, index = ops.nms(F, nowhere, scores, 1, top_k_in=count, top_k_out=count)
    return scores, F.relu(F.cast(index, dtype="float32"))

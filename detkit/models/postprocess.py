"""Postprocessing: class scores and box deltas of the proposals -> detections."""

from typing import Any, Optional, Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.models.box_statistics import BoxStatistics
from detkit.models.suppression import HardNMS
from detkit.models.voting import BoxVoting
from detkit.registry import NMS, POSTPROCESS
from detkit.typing import Namespace, Tensor

MIN_SIDE = 1e-2  # pixels; thinner boxes are dropped, as in torchvision
# How class logits become scores. The logits of "svm" are the margins of linear SVMs.
SOFTMAX, SIGMOID, SVM = "softmax", "sigmoid", "svm"
SCORES = (SOFTMAX, SIGMOID, SVM)


class Selection(HybridBlock):
    """The base of all postprocessings, which selects detections among candidates.

    The steps are clip, score floor, NMS within each class, and the best ``max_detections``.

    score_floor: candidates with this score or a lower one are dropped before NMS. Soft-NMS may
        return lower scores.
    nms_iou: the threshold of NMS, in (0, 1]; "gaussian" has none.
    max_detections: D, the largest number of detections of an image.
    pre_nms: the largest number of candidates of an image, of all classes together, in NMS. MXNet's
        NMS takes time for every row, even for those below the floor.
    box_weights: what the deltas dx dy dw dh are divided by; RoITargets uses the same numbers.
    max_log_scale: the largest dw and dh.
    clip: whether boxes are cut at the image's border; GluonCV's networks do not cut them.
    min_side: in pixels; boxes with a shorter side are dropped.
    scores: "softmax" of all logits of a RoI, for a head trained by CrossEntropy or SoftmaxFocal, or
        "sigmoid" of each logit, for one trained by SigmoidBCE or SigmoidFocal. The background's
        logit, 0, gives no detection. "svm" is the sigmoid, too, for logits that are the margins of
        linear SVMs, which tools/fit_svms.py fits and no loss trains. A score of 0.5 is the border
        that an SVM draws, and a margin of -1 gives 0.27. The order of the margins, and so AP, stays
        the same.
    nms: "hard", "linear" or "gaussian", see suppression.py; null: hard.
    voting: moves the boxes after NMS, see BoxVoting; null: they stay. Its candidates are those of
        NMS.
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
    ) -> None:
        super().__init__()
        if scores not in SCORES:
            raise ValueError(
                f"scores: expected {SOFTMAX!r}, {SIGMOID!r} or {SVM!r}, found {scores!r}"
            )
        for name, count in (("max_detections", max_detections), ("pre_nms", pre_nms)):
            if count < 1:
                raise ValueError(f"{name}: expected at least 1, found {count}")
        if not 0 < nms_iou <= 1:
            raise ValueError(f"nms_iou: expected a number in (0, 1], found {nms_iou}")
        self._score_floor, self._nms_iou = score_floor, nms_iou
        self._pre_nms, self._max_detections = pre_nms, max_detections
        self.box_weights, self._max_log_scale = box_weights, max_log_scale
        self._clip, self._min_side = clip, min_side
        self.scores = scores
        self.nms = HardNMS() if nms is None else nms
        with self.name_scope():
            self.voting = voting

    def select(
        self,
        F: Namespace,
        candidates: Tensor,
        scores: Tensor,
        labels: Tensor,
        sizes: Tensor,
        pre_nms: int = -1,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns the detections of candidates (B, N, 4), scores (B, N) and labels (B, N)."""
        candidates = ops.finite(F, candidates, 0)
        if self._clip:
            candidates = boxes.clip(F, candidates, sizes)
        _, _, w, h = boxes.centre_size(F, candidates)
        kept = F.squeeze(F.minimum(w, h) >= self._min_side, axis=2) * (scores > self._score_floor)
        scores = F.where(kept, scores, F.ones_like(scores) * -1)
        if self.voting and pre_nms >= 0:  # the candidates of NMS vote afterwards
            scores, row = best(F, scores, pre_nms)
            candidates = ops.gather_rows(F, candidates, row)
            labels = F.squeeze(ops.gather_rows(F, F.expand_dims(labels, axis=2), row), axis=2)
        found, found_scores, found_labels = self.nms(
            F, candidates, scores, labels, self._nms_iou, pre_nms, self._max_detections
        )
        if self.voting:
            found = self.voting(found, found_labels, candidates, scores, labels)
        return found, found_scores, found_labels


@POSTPROCESS.register()
class Postprocess(Selection):
    """Scores and decoded boxes of the proposals, and the selection of the detections among them.

    box_statistics: the normalisation of the deltas, see BoxStatistics; null: there is none.
    For all other arguments, see Selection.
    """

    PARTS = {**Selection.PARTS, "box_statistics": BoxStatistics}

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
        box_statistics: Optional[BoxStatistics] = None,
    ) -> None:
        super().__init__(
            score_floor,
            nms_iou,
            max_detections,
            pre_nms,
            box_weights,
            max_log_scale,
            clip,
            min_side,
            scores,
            nms,
            voting,
        )
        with self.name_scope():
            self.box_statistics = box_statistics

    def hybrid_forward(
        self,
        F: Namespace,
        proposals: Tensor,
        proposal_scores: Tensor,
        class_logits: Tensor,
        box_deltas: Tensor,
        sizes: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (B, D, 4), scores (B, D) and labels (B, D), best first.

        Rows without a detection have score and label -1.

        proposals (B, R, 4); proposal_scores (B, R), negative for padding; class_logits
        (B * R, 1 + K); box_deltas (B * R, K or 1, 4); sizes (B, 2) h, w.
        """
        probabilities = probabilities_of(F, class_logits, self.scores)
        probabilities = F.slice_axis(probabilities, axis=1, begin=1, end=None)
        scores = _per_image(F, probabilities, proposals)  # (B, R, K)
        deltas = _per_image(F, box_deltas, proposals)  # (B, R, K or 1, 4)
        labels = F.reshape(F.contrib.arange_like(scores, axis=2), shape=(1, 1, -1))
        if self.box_statistics is not None:
            deltas = self.box_statistics.restored(F, deltas, labels)
        decoded = boxes.decode(
            F, deltas, F.expand_dims(proposals, axis=2), self.box_weights, self._max_log_scale
        )
        # A class-agnostic box serves every class.
        decoded = F.broadcast_add(decoded, F.zeros_like(F.expand_dims(scores, axis=3)))

        # One flat list of boxes per image, (B, R * K, ...), each with its class.
        labels = F.reshape(F.broadcast_add(F.zeros_like(scores), labels), shape=(0, -1))
        found = F.broadcast_greater_equal(F.expand_dims(proposal_scores, axis=2), scores * 0)
        scores = F.reshape(F.where(found, scores, F.ones_like(scores) * -1), shape=(0, -1))
        decoded = F.reshape(decoded, shape=(0, -3, 4))
        return self.select(F, decoded, scores, labels, sizes, self._pre_nms)


def _per_image(F: Namespace, rows: Tensor, rois: Tensor) -> Tensor:
    """Returns rows (B * R, ...) as (B, R, ...); rois are (B, R, 4)."""
    return F.reshape_like(rows, rois, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)


def probabilities_of(F: Namespace, class_logits: Tensor, scores: str) -> Tensor:
    """Returns the probabilities (M, 1 + K) of class logits (M, 1 + K).

    scores: one of SCORES, see Postprocess.
    """
    return F.softmax(class_logits, axis=1) if scores == SOFTMAX else F.sigmoid(class_logits)


def best(F: Namespace, scores: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """Returns the best of scores (B, N) and their indices: (B, M) each, M = min(N, count).

    The best come first; of equal scores, the one of the smaller index does. A score that is not a
    number comes last, as the score -1 with index 0.
    """
    # An NMS in which no box overlaps another sorts, and takes fewer rows than ``count`` if there
    # are no more, unlike topk.
    nowhere = F.broadcast_axis(F.expand_dims(F.zeros_like(scores), axis=2), axis=2, size=4)
    _, scores, _, index = ops.nms(F, nowhere, scores, 1, top_k_in=count, top_k_out=count)
    return scores, F.relu(F.cast(index, dtype="float32"))

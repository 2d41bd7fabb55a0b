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
        linear SVMs, which detkit fit-svms fits and no loss trains. A score of 0.5 is the border
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
        self._score_floor, self.nms_iou = score_floor, nms_iou
        self.pre_nms, self.max_detections = pre_nms, max_detections
        self.box_weights, self._max_log_scale = box_weights, max_log_scale
        self._clip, self._min_side = clip, min_side
        self.scores = scores
        self.nms = HardNMS() if nms is None else nms
        with self.name_scope():
            self.voting = voting

    def kept(
        self, F: Namespace, decoded: Tensor, scores: Tensor, labels: Tensor, sizes: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns decoded boxes (B, N, 4), clipped, with scores (B, N) and labels (B, N).

        The score of a row below ``score_floor`` or ``min_side`` is -1. sizes: (B, 2) h, w.
        """
        decoded = ops.finite(F, decoded, 0)
        if self._clip:
            decoded = boxes.clip(F, decoded, sizes)
        _, _, w, h = boxes.centre_size(F, decoded)
        kept = F.squeeze(F.minimum(w, h) >= self._min_side, axis=2) * (scores > self._score_floor)
        return decoded, F.where(kept, scores, F.ones_like(scores) * -1), labels

    def suppress(
        self, F: Namespace, candidates: Tensor, scores: Tensor, labels: Tensor, pre_nms: int = -1
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns the detections of candidates (B, N, 4), scores (B, N) and labels (B, N).

        A row with a negative score is no candidate. pre_nms: see Selection; -1: all candidates.
        """
        if self.voting and pre_nms >= 0:  # the candidates of NMS vote afterwards
            candidates, scores, labels = best_rows(F, candidates, scores, labels, pre_nms)
        found, found_scores, found_labels = self.nms(
            F, candidates, scores, labels, self.nms_iou, pre_nms, self.max_detections
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
        inputs = proposals, proposal_scores, class_logits, box_deltas, sizes
        return self.suppress(F, *self._all_candidates(F, *inputs), self.pre_nms)

    def candidates(self, F: Namespace, *inputs: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns the best ``pre_nms`` boxes (B, P, 4), scores (B, P) and labels (B, P) before NMS.

        The inputs are those of hybrid_forward. Rows without a candidate have a negative score.
        """
        return best_rows(F, *self._all_candidates(F, *inputs), self.pre_nms)

    def _all_candidates(
        self,
        F: Namespace,
        proposals: Tensor,
        proposal_scores: Tensor,
        class_logits: Tensor,
        box_deltas: Tensor,
        sizes: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (B, R * K, 4), scores (B, R * K) and labels (B, R * K), see ``kept``."""
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
        return self.kept(F, decoded, scores, labels, sizes)


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


def best_rows(
    F: Namespace, boxes: Tensor, scores: Tensor, labels: Tensor, count: int
) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns the rows of the best scores: boxes (B, M, 4), scores (B, M) and labels (B, M).

    The boxes are (B, N, 4), the scores and labels (B, N), and M and the order are those of
    ``best``.
    """
    scores, row = best(F, scores, count)
    labels = F.squeeze(ops.gather_rows(F, F.expand_dims(labels, axis=2), row), axis=2)
    return ops.gather_rows(F, boxes, row), scores, labels


class Candidates(HybridBlock):
    """A postprocessing that stops before NMS, for a network whose detections are merged later.

    postprocess: the postprocessing whose candidates are returned.
    """

    def __init__(self, postprocess: Selection) -> None:
        super().__init__()
        self.scores, self.box_weights = postprocess.scores, postprocess.box_weights
        with self.name_scope():
            self.postprocess = postprocess

    def hybrid_forward(self, F: Namespace, *inputs: Any) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns ``postprocess.candidates`` of the inputs of ``postprocess``."""
        return self.postprocess.candidates(F, *inputs)

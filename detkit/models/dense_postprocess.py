"""Postprocessing of a one-stage detector: class scores and box deltas of anchors -> detections."""

from typing import Any, Optional, Tuple

from detkit import boxes, ops
from detkit.models.postprocess import MIN_SIDE, SIGMOID, Selection, best
from detkit.models.voting import BoxVoting
from detkit.registry import DENSE_POSTPROCESS
from detkit.typing import Namespace, PerLevel, Tensor


@DENSE_POSTPROCESS.register()
class DensePostprocess(Selection):
    """Sigmoid, the best of each level, decode, clip; NMS within each class, the best of all levels.

    This is Lin et al. 2017b, section 4.1, and RetinaNet.postprocess_detections of torchvision.

    pre_nms: the largest number of pairs of an anchor and a class that are kept from each level of
        an image. An anchor may be in several pairs.

    For all other arguments, see Selection. The scores are always those of the sigmoid.
    """

    def __init__(
        self,
        score_floor: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        pre_nms: int = 1000,
        box_weights: Tuple[float, float, float, float] = (1, 1, 1, 1),
        min_side: float = MIN_SIDE,
        nms: Optional[Any] = None,
        voting: Optional[BoxVoting] = None,
    ) -> None:
        super().__init__(
            score_floor,
            nms_iou,
            max_detections,
            pre_nms,
            box_weights,
            min_side=min_side,
            scores=SIGMOID,
            nms=nms,
            voting=voting,
        )

    def hybrid_forward(
        self,
        F: Namespace,
        anchors: PerLevel,
        class_logits: PerLevel,
        deltas: PerLevel,
        sizes: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (B, D, 4), scores (B, D) and labels (B, D), best first.

        Rows without a detection have score and label -1.

        anchors (1, N, 4), class_logits (B, N, K) and deltas (B, N, 4) of each level; sizes (B, 2)
        h, w.
        """
        return self.suppress(F, *self.candidates(F, anchors, class_logits, deltas, sizes))

    def candidates(
        self,
        F: Namespace,
        anchors: PerLevel,
        class_logits: PerLevel,
        deltas: PerLevel,
        sizes: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns the boxes (B, P, 4), scores (B, P) and labels (B, P) before NMS, of all levels.

        The inputs are those of hybrid_forward. Rows without a candidate have a negative score.
        """
        levels = [self._level(F, *level) for level in zip(anchors, class_logits, deltas)]
        decoded, scores, labels = (F.concat(*each, dim=1) for each in zip(*levels))
        return self.kept(F, decoded, scores, labels, sizes)

    def _level(
        self, F: Namespace, anchors: Tensor, logits: Tensor, deltas: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (B, P, 4), scores (B, P) and labels (B, P) of the best pairs of a level.

        P is min(N K, pre_nms); rows without a pair have score -1.
        """
        # The P best pairs belong to the P anchors of the best maxima, so that only the scores of
        # these anchors need to be sorted.
        maxima, anchor = best(F, F.sigmoid(F.max(logits, axis=2)), self.pre_nms)
        logits, deltas = (ops.gather_rows(F, each, anchor) for each in (logits, deltas))
        decoded = boxes.decode(
            F, deltas, F.take(F.squeeze(anchors, axis=0), anchor), self.box_weights
        )
        scores = F.sigmoid(logits)
        # A row without an anchor has index 0, and the first anchor must not be there twice.
        found = F.broadcast_greater_equal(F.expand_dims(maxima, axis=2), F.zeros_like(scores))
        scores = F.where(found, scores, F.ones_like(scores) * -1)
        scores, pair = best(F, F.reshape(scores, shape=(0, -1)), self.pre_nms)
        classes = F.expand_dims(ops.extent(F, logits, 2), axis=0)
        row = F.floor(F.broadcast_div(pair, classes))
        return ops.gather_rows(F, decoded, row), scores, pair - F.broadcast_mul(row, classes)

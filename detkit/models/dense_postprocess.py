"""Postprocessing of a one-stage detector: class scores and box deltas of anchors -> detections."""

from typing import Any, Optional, Tuple

from detkit import boxes, ops
from detkit.models.postprocess import MIN_SIDE, SIGMOID, Postprocess, best
from detkit.models.voting import BoxVoting
from detkit.registry import DENSE_POSTPROCESS


@DENSE_POSTPROCESS.register()
class DensePostprocess(Postprocess):
    """Sigmoid, the best of each level, decode, clip; NMS within each class, the best of all levels.

    Lin et al. 2017b, section 4.1, and RetinaNet.postprocess_detections of torchvision.

    pre_nms: how many pairs of an anchor and a class each level of an image gives at most; an anchor
        may be in several.
    All other arguments: see Postprocess; the scores are always the sigmoid's.
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
    ):
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

    def hybrid_forward(self, F, anchors, class_logits, deltas, sizes):
        """Boxes (B, D, 4), scores (B, D), labels (B, D), best first; rows without one: -1.

        anchors (1, N, 4), class_logits (B, N, K), deltas (B, N, 4) of each level; sizes (B, 2)
        h, w.
        """
        levels = [self._level(F, *level) for level in zip(anchors, class_logits, deltas)]
        candidates, scores, labels = (F.concat(*each, dim=1) for each in zip(*levels))
        return self._detections(F, candidates, scores, labels, sizes)

    def _level(self, F, anchors, logits, deltas):
        """Boxes (B, P, 4), scores (B, P) and labels (B, P) of the best pairs of a level.

        P = min(N K, pre_nms); rows without a pair have score -1.
        """
        # An anchor in one of the best pairs is one of as many anchors of the best maxima: only
        # their scores need be ordered.
        maxima, anchor = best(F, F.sigmoid(F.max(logits, axis=2)), self._pre_nms)
        logits, deltas = (ops.gather_rows(F, each, anchor) for each in (logits, deltas))
        decoded = boxes.decode(
            F, deltas, F.take(F.squeeze(anchors, axis=0), anchor), self.box_weights
        )
        scores = F.sigmoid(logits)
        # A row without an anchor stands at the first one, which must not be there twice.
        found = F.broadcast_greater_equal(F.expand_dims(maxima, axis=2), F.zeros_like(scores))
        scores = F.where(found, scores, F.ones_like(scores) * -1)
        scores, pair = best(F, F.reshape(scores, shape=(0, -1)), self._pre_nms)
        classes = F.expand_dims(ops.extent(F, logits, 2), axis=0)
        row = F.floor(F.broadcast_div(pair, classes))
        return ops.gather_rows(F, decoded, row), scores, pair - F.broadcast_mul(row, classes)

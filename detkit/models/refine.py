"""Refinement: the boxes that one stage of a cascade predicts, for the next one to look at."""

from typing import Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from detkit import boxes, ops


class Refine(nn.HybridSequential):
    """A block for each stage of a cascade but the last, called one by one.

    Cai and Vasconcelos 2018, section 4.1.

    box_weights: for each of these stages, what divides the deltas dx dy dw dh; RoITargets uses the
        same, and the postprocessing has those of the last stage. The better the boxes, the smaller
        the deltas and the larger the weights.
    """

    def __init__(
        self,
        box_weights: Sequence[Tuple[float, float, float, float]] = (
            (10, 10, 5, 5),
            (20, 20, 10, 10),
        ),
    ):
        super().__init__()
        self.box_weights = [tuple(weights) for weights in box_weights]
        with self.name_scope():
            self.add(*map(_Refine, self.box_weights))


class _Refine(HybridBlock):
    """Decode and clip; of a head with a box for each class, that of its best class.

    A RoI without an area keeps its place and none.
    """

    def __init__(self, box_weights):
        super().__init__()
        self._box_weights = box_weights

    def hybrid_forward(self, F, rois, class_logits, deltas, sizes):
        """Boxes (B, R, 4) of the RoIs (B, R, 4).

        class_logits (B * R, 1 + K), deltas (B * R, K or 1, 4), sizes (B, 2) h, w.
        """
        best = F.argmax(F.slice_axis(class_logits, axis=1, begin=1, end=None), axis=1)
        deltas = F.reshape_like(boxes.deltas_of(F, deltas, best), rois)
        refined = boxes.decode(F, deltas, rois, self._box_weights)
        return boxes.clip(F, ops.finite(F, refined, 0), sizes)

"""Refinement: the boxes that one stage of a cascade predicts, which are the RoIs of the next."""

from typing import Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from detkit import boxes, ops
from detkit.typing import Namespace, Tensor


class Refine(nn.HybridSequential):
    """A block for each stage of a cascade except the last (Cai and Vasconcelos 2018, section 4.1).

    box_weights: for each of these stages, what the deltas dx dy dw dh are divided by. RoITargets
        uses the same numbers, and the postprocessing has those of the last stage. The better the
        boxes, the smaller are the deltas and the larger the weights.
    """

    def __init__(
        self,
        box_weights: Sequence[Tuple[float, float, float, float]] = (
            (10, 10, 5, 5),
            (20, 20, 10, 10),
        ),
    ) -> None:
        super().__init__()
        self.box_weights = [tuple(weights) for weights in box_weights]
        with self.name_scope():
            self.add(*map(_Refine, self.box_weights))


class _Refine(HybridBlock):
    """The refinement after one stage: decodes the box of each RoI and clips it.

    If a head has one box per class, that of the RoI's best class is taken. A degenerate RoI stays
    degenerate. No row is dropped, so that row i is still RoI i.
    """

    def __init__(self, box_weights: Sequence[float]) -> None:
        super().__init__()
        self._box_weights = box_weights

    def hybrid_forward(
        self, F: Namespace, rois: Tensor, class_logits: Tensor, deltas: Tensor, sizes: Tensor
    ) -> Tensor:
        """Returns the refined boxes (B, R, 4) of RoIs (B, R, 4).

        class_logits (B * R, 1 + K), deltas (B * R, K or 1, 4), sizes (B, 2) h, w.
        """
        best = F.argmax(F.slice_axis(class_logits, axis=1, begin=1, end=None), axis=1)
        deltas = F.reshape_like(boxes.deltas_of(F, deltas, best), rois)
        refined = boxes.decode(F, deltas, rois, self._box_weights)
        return boxes.clip(F, ops.finite(F, refined, 0), sizes)

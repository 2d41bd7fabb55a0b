"""Proposals: the anchors of the highest objectness, decoded, clipped, and after NMS."""

from typing import Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.registry import PROPOSALS
from detkit.typing import Namespace, PerLevel, Tensor


@PROPOSALS.register()
class Proposals(HybridBlock):
    """The best anchors, decoded, clipped, without small ones, and after NMS (Ren et al. 2015).

    The defaults are those of the paper in testing (section 3.3); in training it keeps 12000 and
    2000.

    pre_nms, post_nms: the largest number of boxes of an image before and after NMS.
    iou: the threshold of NMS, in (0, 1].
    min_size: the shortest side of a proposal, in pixels of the network's input.
    score_floor: in [0, 1); proposals of a lower score are dropped. torchvision's small detectors
        have 0.05.
    box_weights: what the deltas dx dy dw dh are divided by; RPNTargets uses the same numbers.

    Two arguments exist for parity with GluonCV:

    all_levels: whether ``pre_nms`` and NMS are for all levels together, as in GluonCV. Boxes below
        ``min_size`` are then dropped before the best are taken, as in py-faster-rcnn. A
        ``min_size`` of 0 drops no box, not even a degenerate one.
    max_log_scale: the largest dw and dh, by default log(1000 / 16), as in Detectron; any other
        value needs ``all_levels``.

    with_anchors: whether the places of the anchors are returned as well. ``regime: exact`` sets it
        for the proposals of the training.
    """

    def __init__(
        self,
        pre_nms: int = 6000,
        post_nms: int = 300,
        iou: float = 0.7,
        min_size: float = 16.0,
        score_floor: float = 0.0,
        box_weights: Tuple[float, float, float, float] = (1, 1, 1, 1),
        all_levels: bool = False,
        max_log_scale: float = boxes.MAX_LOG_SCALE,
        with_anchors: bool = False,
    ) -> None:
        super().__init__()
        for name, count in (("pre_nms", pre_nms), ("post_nms", post_nms)):
            if count < 1:
                raise ValueError(f"{name}: expected at least 1, found {count}")
        if not 0 < iou <= 1:
            raise ValueError(f"iou: expected a number in (0, 1], found {iou}")
        if not 0 <= score_floor < 1:
            raise ValueError(f"score_floor: expected a number in [0, 1), found {score_floor}")
        if max_log_scale != boxes.MAX_LOG_SCALE and not all_levels:
            expected = "log(1000 / 16) unless all_levels is true"
            raise ValueError(f"max_log_scale: expected {expected}, found {max_log_scale}")
        self._limits = pre_nms, post_nms, iou, min_size
        self._score_floor = score_floor
        self._all_levels, self.max_log_scale = all_levels, max_log_scale
        self._with_anchors = with_anchors
        self.box_weights = box_weights

    def hybrid_forward(
        self, F: Namespace, anchors: PerLevel, objectness: PerLevel, deltas: PerLevel, sizes: Tensor
    ) -> Tuple[Tensor, ...]:
        """Returns proposals (B, R, 4) and scores (B, R), best first; R = min(N, post_nms).

        ``pre_nms`` and NMS are for each level alone unless ``all_levels``; ``post_nms`` is for all
        levels together. Rows without a proposal hold zeros and the score -1.

        With ``with_anchors``, a third array (B, R) says which anchor each proposal was made of: its
        place among those of all levels, one level after another, -1 in rows without a proposal.

        anchors (1, N, 4), objectness logits (B, N) and deltas (B, N, 4) of each level; sizes (B, 2)
        h, w.
        """
        levels = list(zip(anchors, objectness, deltas))
        if self._all_levels:
            proposals, scores, *places = self._of_one_list(F, levels, sizes)
        else:
            propose = ops.traced_proposals if self._with_anchors else ops.proposals
            proposals, scores, *places = propose(F, levels, sizes, *self._limits, self.box_weights)
        if self._score_floor:
            # No proposal below the floor suppresses one above it: it can be dropped after NMS.
            kept = scores >= self._score_floor
            proposals = F.broadcast_mul(proposals, F.expand_dims(kept, axis=2))
            scores, *places = (
                F.where(kept, each, F.ones_like(each) * -1) for each in (scores, *places)
            )
        return (proposals, scores, *places) if self._with_anchors else (proposals, scores)

    def _of_one_list(
        self, F: Namespace, levels: Sequence[Sequence[Tensor]], sizes: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns what hybrid_forward does, before the floor, with NMS across all levels."""
        pre_nms, post_nms, iou, min_size = self._limits
        anchors, logits, deltas = (F.concat(*each, dim=1) for each in zip(*levels))
        decoded = boxes.decode(F, deltas, anchors, self.box_weights, self.max_log_scale)
        decoded = boxes.clip(F, decoded, sizes)
        _, _, w, h = boxes.centre_size(F, decoded)
        large = F.squeeze(F.minimum(w, h) >= min_size, axis=2)
        scores = F.where(large, F.sigmoid(logits), F.ones_like(logits) * -1)
        proposals, scores, _, places = ops.nms(
            F, decoded, scores, iou, top_k_in=pre_nms, top_k_out=post_nms
        )
        return proposals, scores, F.cast(places, dtype="float32")

"""Proposals: the anchors of the highest objectness, decoded, clipped, and after NMS."""

from typing import Any, List, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.registry import PROPOSALS
from detkit.typing import Namespace, PerLevel, Tensor

INPUT, IMAGE = "input", "image"  # whose pixels ``min_size`` counts


@PROPOSALS.register()
class Proposals(HybridBlock):
    """The best anchors, decoded, clipped, without small ones, and after NMS (Ren et al. 2015).

    The defaults are those of the paper in testing (section 3.3); in training it keeps 12000 and
    2000.

    pre_nms, post_nms: the largest number of boxes of an image before and after NMS.
    iou: the threshold of NMS, in (0, 1].
    min_size: the shortest side of a proposal, in pixels.
    min_size_of: whose pixels these are, "input" (the network's) or "image": those of the image on
        disk, before it was resized, as in py-faster-rcnn and Detectron. The small boxes are then
        dropped before the best are taken, as in py-faster-rcnn; Detectron drops them afterwards.
    score_floor: in [0, 1); proposals of a lower score are dropped. torchvision's small detectors
        have 0.05.
    box_weights: what the deltas dx dy dw dh are divided by; RPNTargets uses the same numbers.

    The last two arguments exist for parity with GluonCV:

    all_levels: whether ``pre_nms`` and NMS are for all levels together, as in GluonCV. Boxes below
        ``min_size`` are then dropped before the best are taken, as in py-faster-rcnn. A
        ``min_size`` of 0 drops no box, not even a degenerate one.
    max_log_scale: the largest dw and dh, by default log(1000 / 16), as in Detectron; any other
        value needs ``all_levels``.

    with_anchors: whether the places of the anchors are returned as well. ``regime: exact`` sets it
        for the proposals of the training.

    The attribute ``needs_scales`` tells whether it is called with the scales of the images, too.
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
        min_size_of: str = INPUT,
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
        if min_size_of not in (INPUT, IMAGE):
            raise ValueError(f"min_size_of: expected {INPUT!r} or {IMAGE!r}, found {min_size_of!r}")
        self.needs_scales = min_size_of == IMAGE
        self._limits = pre_nms, post_nms, iou
        self._min_size, self._score_floor = min_size, score_floor
        self._all_levels, self.max_log_scale = all_levels, max_log_scale
        self._with_anchors = with_anchors
        self.box_weights = box_weights

    def hybrid_forward(
        self,
        F: Namespace,
        anchors: PerLevel,
        objectness: PerLevel,
        deltas: PerLevel,
        sizes: Tensor,
        scales: Optional[Tensor] = None,
    ) -> Tuple[Tensor, ...]:
        """Returns proposals (B, R, 4) and scores (B, R), best first; R = min(N, post_nms).

        ``pre_nms`` and NMS are for each level alone unless ``all_levels``; ``post_nms`` is for all
        levels together. Rows without a proposal hold zeros and the score -1.

        With ``with_anchors``, a third array (B, R) says which anchor each proposal was made of: its
        place among those of all levels, one level after another, -1 in rows without a proposal.

        anchors (1, N, 4), objectness logits (B, N) and deltas (B, N, 4) of each level; sizes (B, 2)
        h, w; scales (B, 2) x, y: the size in the input / the size on disk, if ``needs_scales``.
        """
        levels = list(zip(anchors, objectness, deltas))
        propose = self._of_one_list if self._all_levels else self._of_each_level
        proposals, scores, *places = propose(F, levels, sizes, scales)
        if self._score_floor:
            # No proposal below the floor suppresses one above it: it can be dropped after NMS.
            kept = scores >= self._score_floor
            proposals = F.broadcast_mul(proposals, F.expand_dims(kept, axis=2))
            scores, *places = (
                F.where(kept, each, F.ones_like(each) * -1) for each in (scores, *places)
            )
        return (proposals, scores, *places) if self._with_anchors else (proposals, scores)

    def _of_each_level(
        self, F: Namespace, levels: Sequence[Any], sizes: Tensor, scales: Optional[Tensor]
    ) -> List[Tensor]:
        """Returns what hybrid_forward does, before the floor, with NMS within each level."""
        min_size = self._min_size
        if scales is not None:
            levels = [self._without_small(F, level, sizes, scales) for level in levels]
            min_size = 0.0
        propose = ops.traced_proposals if self._with_anchors else ops.proposals
        return [*propose(F, levels, sizes, *self._limits, min_size, self.box_weights)]

    def _without_small(
        self, F: Namespace, level: Sequence[Tensor], sizes: Tensor, scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns a level whose small boxes have the objectness -inf, of which none is proposed."""
        anchors, objectness, deltas = level
        decoded = boxes.clip(F, boxes.decode(F, deltas, anchors, self.box_weights), sizes)
        return anchors, objectness + F.log(self._is_large(F, decoded, scales)), deltas

    def _of_one_list(
        self, F: Namespace, levels: Sequence[Any], sizes: Tensor, scales: Optional[Tensor]
    ) -> List[Tensor]:
        """Returns what hybrid_forward does, before the floor, with NMS across all levels."""
        pre_nms, post_nms, iou = self._limits
        anchors, logits, deltas = (F.concat(*each, dim=1) for each in zip(*levels))
        decoded = boxes.decode(F, deltas, anchors, self.box_weights, self.max_log_scale)
        decoded = boxes.clip(F, decoded, sizes)
        large = self._is_large(F, decoded, scales)
        scores = F.where(large, F.sigmoid(logits), F.ones_like(logits) * -1)
        proposals, scores, _, places = ops.nms(
            F, decoded, scores, iou, top_k_in=pre_nms, top_k_out=post_nms
        )
        return [proposals, scores, F.cast(places, dtype="float32")]

    def _is_large(self, F: Namespace, decoded: Tensor, scales: Optional[Tensor]) -> Tensor:
        """Returns (B, N), 1 for boxes (B, N, 4) whose sides are at least ``min_size``, else 0."""
        _, _, w, h = boxes.centre_size(F, decoded)
        if scales is not None:  # sides in pixels of the image on disk
            x, y = F.split(F.expand_dims(scales, axis=1), num_outputs=2, axis=-1)
            w, h = F.broadcast_div(w, x), F.broadcast_div(h, y)
        return F.squeeze(F.minimum(w, h) >= self._min_size, axis=2)

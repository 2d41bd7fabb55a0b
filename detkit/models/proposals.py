"""Proposals: the anchors the region proposal network believes in, moved, cut and thinned out."""

from typing import Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.registry import PROPOSALS


@PROPOSALS.register()
class Proposals(HybridBlock):
    """The best ``pre_nms`` anchors, decoded and clipped, without the small; NMS; ``post_nms`` best.

    Ren et al. 2015, section 3.3. The defaults are the paper's for testing; training keeps
    12000 and 2000.

    pre_nms, post_nms: how many enter NMS and how many leave it, per image.
    iou: NMS threshold.
    min_size: shortest side of a proposal, pixels of the network's input.
    score_floor: proposals below it are dropped; torchvision's small detectors have 0.05.
    box_weights: divide the deltas dx dy dw dh; RPNTargets uses the same.

    The last two exist to give GluonCV's numbers:

    all_levels: in one list, as in GluonCV. ``pre_nms`` and NMS are for all levels together, and
        boxes below ``min_size`` are dropped before the best are taken, as in py-faster-rcnn; with
        a ``min_size`` of 0 none is, not even one without an area.
    max_log_scale: dw and dh are at most that, by default log(1000 / 16), as in Detectron; another
        is for ``all_levels``.
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
    ):
        super().__init__()
        if pre_nms < 1 or post_nms < 1 or not 0 < iou <= 1:
            raise ValueError("pre_nms and post_nms are at least 1, and iou is in (0, 1]")
        if not 0 <= score_floor < 1:
            raise ValueError(f"score_floor is in [0, 1), not {score_floor}")
        if max_log_scale != boxes.MAX_LOG_SCALE and not all_levels:
            raise ValueError("another max_log_scale needs all_levels: true")
        self._pre_nms, self._post_nms = pre_nms, post_nms
        self._iou, self._min_size, self._score_floor = iou, min_size, score_floor
        self._all_levels, self._max_log_scale = all_levels, max_log_scale
        self.box_weights = box_weights

    def hybrid_forward(self, F, anchors, objectness, deltas, sizes):
        """Proposals (B, R, 4) and their scores (B, R), best first, R = min(N, post_nms).

        anchors (1, N, 4), objectness logits (B, N), deltas (B, N, 4) of each level, sizes (B, 2) h,
        w. ``pre_nms`` and NMS are for each level alone unless ``all_levels``, ``post_nms`` is for
        all together. Where there are fewer proposals, rows hold zeros and score -1.
        """
        propose = self._of_one_list if self._all_levels else self._of_each_level
        proposals, scores = propose(F, anchors, objectness, deltas, sizes)
        if not self._score_floor:
            return proposals, scores
        # No proposal below the floor suppresses one above it: to drop it after NMS is the same.
        kept = scores >= self._score_floor
        proposals = F.broadcast_mul(proposals, F.expand_dims(kept, axis=2))
        return proposals, F.where(kept, scores, F.ones_like(scores) * -1)

    def _of_each_level(self, F, anchors, objectness, deltas, sizes):
        return ops.proposals(
            F,
            list(zip(anchors, objectness, deltas)),
            sizes,
            self._pre_nms,
            self._post_nms,
            self._iou,
            self._min_size,
            self.box_weights,
        )

    def _of_one_list(self, F, anchors, objectness, deltas, sizes):
        anchors, objectness, deltas = (
            F.concat(*levels, dim=1) for levels in (anchors, objectness, deltas)
        )
        decoded = boxes.decode(F, deltas, anchors, self.box_weights, self._max_log_scale)
        decoded = boxes.clip(F, decoded, sizes)
        _, _, w, h = boxes.centre_size(F, decoded)
        large = F.squeeze(F.minimum(w, h) >= self._min_size, axis=2)
        scores = F.where(large, F.sigmoid(objectness), F.ones_like(objectness) * -1)
        proposals, scores, _, _ = ops.nms(
            F, decoded, scores, self._iou, top_k_in=self._pre_nms, top_k_out=self._post_nms
        )
        return proposals, scores

"""Targets of anchors in the training of a region proposal network."""

from typing import Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes
from detkit.registry import ASSIGNERS, SAMPLERS
from detkit.targets.assigners import matched_iou, matched_objects
from detkit.targets.samplers import IOU, needs_of
from detkit.typing import Namespace, PerLevel, Tensor


class RPNTargets(HybridBlock):
    """The targets of a region proposal network (Ren et al. 2015, section 3.1).

    The anchors are assigned to objects and sampled, and the objects' boxes are encoded.

    box_weights: what the targets dx dy dw dh are multiplied by; derived from the proposals, which
        decode with the same numbers.
    straddle: pixels by which an anchor may cross the image's border and still be trained on
        (Detectron's RPN_STRADDLE_THRESH). null sets no limit, as in torchvision.
    """

    PARTS = {"assigner": ASSIGNERS, "sampler": SAMPLERS}

    def __init__(
        self,
        assigner: HybridBlock,
        sampler: HybridBlock,
        box_weights: Sequence[float],
        straddle: Optional[float] = 0.0,
    ) -> None:
        super().__init__()
        if straddle is not None and straddle < 0:
            raise ValueError(
                f"straddle: expected at least 0 or null, found {straddle}; null lets anchors cross "
                "the border by any number of pixels"
            )
        refused = [need for need in needs_of(sampler) if need != IOU]
        if refused:
            raise ValueError(
                f"sampler: expected one that needs nothing but {IOU}, found "
                f"{type(sampler).__name__}, which needs {' and '.join(refused)}; only RoIs have "
                "these, so that it belongs in roi_targets"
            )
        self._needs_iou = IOU in needs_of(sampler)
        self._box_weights, self._straddle = box_weights, straddle
        with self.name_scope():
            self.assigner = assigner
            self.sampler = sampler

    def hybrid_forward(
        self, F: Namespace, anchors: PerLevel, sizes: Tensor, gt_boxes: Tensor, gt_labels: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Returns labels (B, N), 1 object, 0 background, -1 not sampled, and targets (B, N, 4).

        The N rows are the anchors of all levels, one level after another.

        anchors (1, N, 4) of each level; sizes (B, 2) h, w in pixels; gt_boxes (B, G, 4); gt_labels
        (B, G), -1 for padding.
        """
        together = F.concat(*anchors, dim=1)
        labels, matched = self.assigned(F, together, sizes, gt_boxes, gt_labels)
        objects, classes = matched_objects(F, gt_boxes, gt_labels, matched)
        if self._needs_iou:
            labels = self.sampler(labels, matched_iou(F, together, objects, classes))
        else:
            labels = self.sampler(labels)
        labels = self._labels(F, labels, classes)
        return labels, boxes.encode(F, objects, together, self._box_weights)

    def assigned(
        self, F: Namespace, anchors: Tensor, sizes: Tensor, gt_boxes: Tensor, gt_labels: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Returns labels (B, N) before sampling and the indices (B, N) of the matched objects.

        The labels are 1 object, 0 background, -1 ignored. anchors (1, N, 4) of all levels together;
        the other arguments are those of ``hybrid_forward``.
        """
        candidates = self.inside(F, anchors, sizes)
        labels, matched = self.assigner(anchors, candidates, gt_boxes, gt_labels)
        return labels, matched

    def _labels(self, F: Namespace, labels: Tensor, classes: Tensor) -> Tensor:
        """Returns the final labels (B, N); classes (B, N) are those of the matched objects."""
        return labels

    def inside(self, F: Namespace, anchors: Tensor, sizes: Tensor) -> Tensor:
        """Returns (B, N), 1 for the anchors that cross the image's border by ``straddle`` or less.

        anchors (1, N, 4), sizes (B, 2).
        """
        beyond = F.broadcast_sub(anchors, boxes.clip(F, anchors, sizes))
        beyond = F.max(F.abs(beyond), axis=2)
        return F.ones_like(beyond) if self._straddle is None else beyond <= self._straddle

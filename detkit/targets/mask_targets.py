"""Targets of the mask head: the RoIs that it is trained on, and the masks in them."""

from typing import Optional, Tuple

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.typing import Namespace, Tensor


class MaskTargets(HybridBlock):
    """The targets of a mask head (He et al. 2017, section 3.1).

    The mask of a positive RoI is that of the object it overlaps most, cut out and resized.

    size: M, the cells along a side of a mask; derived from the mask head.
    rois: RoIs per image that are returned, or None for all; derived from the sampler, which draws
        no more positive RoIs than that.
    threshold: the share of a cell, in (0, 1], from which on the cell belongs to the object; null:
        the share itself is the target, as in torchvision.
    """

    def __init__(self, size: int, rois: Optional[int], threshold: Optional[float] = 0.5) -> None:
        super().__init__()
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold: expected a number in (0, 1] or null, found {threshold}")
        self._size, self._rois, self._threshold = size, rois, threshold

    def hybrid_forward(
        self,
        F: Namespace,
        rois: Tensor,
        labels: Tensor,
        gt_boxes: Tensor,
        gt_labels: Tensor,
        gt_masks: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns RoIs (B, R, 4), classes (B, R) and masks (B, R, M, M); R is at most ``rois``.

        Classes are 0..K-1, and -1 for rows that are not trained on.

        rois (B, S, 4) and labels (B, S) of RoITargets, whose positive rows (1 + class) come first;
        gt_boxes (B, G, 4); gt_labels (B, G); gt_masks (B, G, H, W) uint8.
        """
        rois, labels = (F.slice(a, begin=(None, 0), end=(None, self._rois)) for a in (rois, labels))
        index = ops.match(F, rois, None, gt_boxes, gt_labels).index
        masks = ops.mask_target(F, gt_masks, rois, index, self._size)
        if self._threshold is not None:
            masks = masks >= self._threshold
        return rois, F.relu(labels) - 1, masks

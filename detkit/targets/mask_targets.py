"""Which RoIs the mask head is trained on, and what it should say of their cells."""

from typing import Optional

from mxnet.gluon import HybridBlock

from detkit import ops


class MaskTargets(HybridBlock):
    """The positive RoIs, each with the mask of the object it overlaps most, cut out and resized.

    He et al. 2017, section 3.1.

    size: M, the mask's cells along a side; derived from the mask head.
    rois: RoIs per image that come out; derived from the sampler, which draws no more positive ones.
        None: all that go in.
    threshold: share of a cell that the object covers for it to be the object's; null: the share
        itself is the target, as in torchvision.
    """

    def __init__(self, size: int, rois: Optional[int], threshold: Optional[float] = 0.5):
        super().__init__()
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold is above 0 and at most 1, or null, not {threshold}")
        self._size, self._rois, self._threshold = size, rois, threshold

    def hybrid_forward(self, F, rois, labels, gt_boxes, gt_labels, gt_masks):
        """RoIs (B, R, 4), classes (B, R), masks (B, R, M, M); R = min(``rois``, S).

        rois (B, S, 4) and labels (B, S) as of RoITargets, the positive ones (1 + class) first;
        gt_boxes (B, G, 4), gt_labels (B, G), gt_masks (B, G, H, W) uint8. Classes: 0..K-1, -1 for
        rows that are not trained on.
        """
        rois, labels = (F.slice(a, begin=(None, 0), end=(None, self._rois)) for a in (rois, labels))
        index = ops.match(F, rois, None, gt_boxes, gt_labels).index
        masks = ops.mask_target(F, gt_masks, rois, index, self._size)
        if self._threshold is not None:
            masks = masks >= self._threshold
        return rois, F.relu(labels) - 1, masks

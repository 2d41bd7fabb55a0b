"""Targets of the keypoint head: the RoIs that it is trained on, and the keypoints in them."""

from typing import Optional, Tuple

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.keypoints import NOT_TRAINED, encode
from detkit.typing import Namespace, Tensor


class KeypointTargets(HybridBlock):
    """The targets of a keypoint head (He et al. 2017, section 5).

    The keypoints of a positive RoI are those of the object it overlaps most. Only labelled
    keypoints within the RoI are trained on, and so no RoI without any, as in Detectron2.

    size: M, the cells along a side of a heatmap; derived from the keypoint head.
    rois: RoIs per image that are returned, or None for all; derived from the sampler, which draws
        no more positive RoIs than that.
    """

    def __init__(self, size: int, rois: Optional[int]) -> None:
        super().__init__()
        self._size, self._rois = size, rois

    def hybrid_forward(
        self,
        F: Namespace,
        rois: Tensor,
        labels: Tensor,
        gt_boxes: Tensor,
        gt_labels: Tensor,
        gt_keypoints: Tensor,
    ) -> Tuple[Tensor, Tensor]:
        """Returns RoIs (B, R, 4) and cells (B, R, J) of their heatmaps; R is at most ``rois``.

        A cell is 0..M * M - 1, or NOT_TRAINED.

        rois (B, S, 4) and labels (B, S) of RoITargets, whose positive rows (1 + class) come first;
        gt_boxes (B, G, 4); gt_labels (B, G); gt_keypoints (B, G, J, 3) x, y and flag.
        """
        rois, labels = (F.slice(a, begin=(None, 0), end=(None, self._rois)) for a in (rois, labels))
        index = ops.match(F, rois, None, gt_boxes, gt_labels).index
        matched = ops.gather_rows(F, F.reshape(gt_keypoints, shape=(0, 0, -3)), index)
        cells = encode(F, F.reshape(matched, shape=(0, 0, -4, -1, 3)), rois, self._size)
        positive = F.broadcast_like(F.expand_dims(labels > 0, axis=2), cells)
        return rois, F.where(positive, cells, F.ones_like(cells) * NOT_TRAINED)

"""One training step of Mask R-CNN: that of Faster R-CNN, and the masks of its positive RoIs."""

from typing import NamedTuple

import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.losses import binary_cross_entropy
from detkit.registry import TRAIN_STEPS
from detkit.targets import MaskTargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep


class MaskLoss(HybridBlock):
    """Mean binary cross entropy of the cells of the positive RoIs, of the mask of their class.

    The other classes' masks are not trained by an RoI, so that classes do not compete (He et al.
    2017, section 3). Divided by the positives, not by all sampled RoIs: there is no more to say of
    the others, and so it is in torchvision and Detectron2.

    weight: factor of the loss.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self._weight = weight

    def hybrid_forward(self, F, logits, classes, targets):
        """The loss (1,) of logits (B, R, M, M), classes (B, R) and targets (B, R, M, M)."""
        losses = binary_cross_entropy(F, logits, targets)
        positive = classes >= 0
        losses = F.mean(losses, axis=(2, 3)) * positive
        return F.broadcast_div(F.sum(losses), F.maximum(F.sum(positive), 1)) * self._weight


class MaskLosses(NamedTuple):
    """The five losses of Mask R-CNN, each (1,) and already weighted; they are summed."""

    rpn_class: mx.nd.NDArray
    rpn_box: mx.nd.NDArray
    roi_class: mx.nd.NDArray
    roi_box: mx.nd.NDArray
    mask: mx.nd.NDArray


@TRAIN_STEPS.register("MaskRCNN")
class MaskRCNNTrainStep(FasterRCNNTrainStep):
    """As FasterRCNNTrainStep, with a fifth loss (He et al. 2017, section 3)."""

    PARTS = {**FasterRCNNTrainStep.PARTS, "mask_targets": MaskTargets, "mask_loss": MaskLoss}
    _with_mask = MaskLosses

    def __call__(self, images, sizes, gt_boxes, gt_labels, gt_masks):
        """As FasterRCNNTrainStep; gt_masks (B, G, H, W) uint8 of 0 and 1."""
        losses, sampled = self.box_losses(images, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            rois, classes, targets = self.mask_targets(
                sampled.rois, sampled.labels, gt_boxes, gt_labels, gt_masks
            )
        model = self.model
        logits = model.mask_head(model.mask_extractor(sampled.features, rois), classes)
        return self._with_mask(*losses, self.mask_loss(logits, classes, targets))

"""One training step of Faster R-CNN, from a batch to its losses, in the order of the paper."""

from typing import NamedTuple

import mxnet as mx
from mxnet import autograd

from detkit.models import Proposals
from detkit.registry import TRAIN_STEPS
from detkit.train_steps.fast_rcnn import FastRCNNTrainStep
from detkit.train_steps.rpn import RPNTrainStep


class Losses(NamedTuple):
    """The four losses of Faster R-CNN, each (1,) and already weighted; they are summed."""

    rpn_class: mx.nd.NDArray
    rpn_box: mx.nd.NDArray
    roi_class: mx.nd.NDArray
    roi_box: mx.nd.NDArray


@TRAIN_STEPS.register("FasterRCNN")
class FasterRCNNTrainStep(RPNTrainStep, FastRCNNTrainStep):
    """Calls the detector's parts one after another, with targets made in between.

    Approximate joint training (Ren et al. 2015, section 3.2): no gradient flows through the
    proposals' coordinates. The detector's own ``proposals`` are for testing; those here keep more.
    """

    PARTS = {
        **RPNTrainStep.PARTS,
        "proposals": Proposals,
        **FastRCNNTrainStep.PARTS,
    }

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """Losses of a batch; call it under autograd.record().

        images (B, 3, H, W) RGB 0..255, sizes (B, 2) h, w, gt_boxes (B, G, 4) pixels,
        gt_labels (B, G) 0..K-1, -1 for padding.
        """
        losses, _ = self.box_losses(images, sizes, gt_boxes, gt_labels)
        return losses

    def box_losses(self, images, sizes, gt_boxes, gt_labels):
        """The Losses, and the Sampled RoIs."""
        features = self.model.features(images, sizes)
        rpn_losses, proposals = self.propose(images, features, sizes, gt_boxes, gt_labels)
        roi_losses, sampled = self.roi_losses(features, *proposals, gt_boxes, gt_labels)
        return Losses(*rpn_losses, *roi_losses), sampled

    def propose(self, images, features, sizes, gt_boxes, gt_labels):
        """The losses of the RPN; the proposals (B, R, 4) and their scores (B, R)."""
        anchors = self.model.anchors_of(images, features)
        objectness, deltas = self.model.rpn_head(self.model.anchored(features))
        losses = self.rpn_losses(anchors, objectness, deltas, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            return losses, self.proposals(anchors, objectness, deltas, sizes)

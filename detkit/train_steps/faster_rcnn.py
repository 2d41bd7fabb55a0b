"""One training step of Faster R-CNN, from a batch to its losses, in the order of the paper."""

import functools
from typing import NamedTuple, Sequence

import mxnet as mx
from mxnet import autograd

from detkit.models import Proposals
from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets, RPNTargets
from detkit.train_steps.head_losses import RoILoss, RPNLoss
from detkit.train_steps.step import TrainStep


class Losses(NamedTuple):
    """The four losses of Faster R-CNN, each (1,) and already weighted; they are summed."""

    rpn_class: mx.nd.NDArray
    rpn_box: mx.nd.NDArray
    roi_class: mx.nd.NDArray
    roi_box: mx.nd.NDArray


class Sampled(NamedTuple):
    """What a head beside the RoI head is trained on.

    features: the levels. rois (B, S, 4) and labels (B, S): as of RoITargets.
    """

    features: Sequence[mx.nd.NDArray]
    rois: mx.nd.NDArray
    labels: mx.nd.NDArray


@TRAIN_STEPS.register("FasterRCNN")
class FasterRCNNTrainStep(TrainStep):
    """Calls the detector's parts one after another, with targets made in between.

    Approximate joint training (Ren et al. 2015, section 3.2): no gradient flows through the
    proposals' coordinates. The detector's own ``proposals`` are for testing; those here keep more.
    """

    PARTS = {
        "rpn_targets": RPNTargets,
        "proposals": Proposals,
        "roi_targets": RoITargets,
        "rpn_loss": RPNLoss,
        "roi_loss": RoILoss,
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
        model = self.model
        features = model.features(images, sizes)
        anchors = model.anchors_of(images, features)
        objectness, anchor_deltas = model.rpn_head(features)
        rpn_losses = self.rpn_losses(anchors, objectness, anchor_deltas, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(anchors, objectness, anchor_deltas, sizes)
        roi_losses, sampled = self.roi_losses(features, proposals, scores, gt_boxes, gt_labels)
        return Losses(*rpn_losses, *roi_losses), sampled

    def rpn_losses(self, anchors, objectness, deltas, sizes, gt_boxes, gt_labels):
        """Class and box loss of the anchors."""
        with autograd.pause():
            labels, targets = self.rpn_targets(anchors, sizes, gt_boxes, gt_labels)
        origins = self.rpn_loss.origins(anchors)
        return self.rpn_loss(objectness, deltas, labels, targets, *origins)

    def roi_losses(self, features, proposals, scores, gt_boxes, gt_labels):
        """Class and box loss of the RoIs sampled from the proposals, and the Sampled."""
        with autograd.pause():
            rois, labels, targets = self.roi_targets(
                proposals, scores, gt_boxes, gt_labels, functools.partial(self._losses_of, features)
            )
        class_logits, deltas = self.model.roi_head(self.model.roi_extractor(features, rois))
        origins = self.roi_loss.origins(rois)
        losses = self.roi_loss(class_logits, deltas, labels, targets, *origins)
        return losses, Sampled(features, rois, labels)

    def _losses_of(self, features, rois, labels, targets):
        """Class and box loss together (B, R) of RoIs (B, R, 4), as training would have them."""
        outputs = self.model.roi_head(self.model.roi_extractor(features, rois))
        origins = self.roi_loss.origins(rois)
        class_losses, box_losses = self.roi_loss.rows(*outputs, labels, targets, *origins)
        return class_losses + box_losses

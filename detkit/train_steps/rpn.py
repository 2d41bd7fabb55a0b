"""One training step of a region proposal network."""

from typing import NamedTuple

import mxnet as mx
from mxnet import autograd

from detkit.registry import TRAIN_STEPS
from detkit.targets import RPNTargets
from detkit.train_steps.head_losses import RPNLoss
from detkit.train_steps.step import TrainStep


class RPNLosses(NamedTuple):
    """The two losses of the anchors, each (1,) and already weighted; they are summed."""

    rpn_class: mx.nd.NDArray
    rpn_box: mx.nd.NDArray


@TRAIN_STEPS.register("RPN")
class RPNTrainStep(TrainStep):
    """Anchors are objects or background, whatever the class (Ren et al. 2015, section 3.1)."""

    PARTS = {"rpn_targets": RPNTargets, "rpn_loss": RPNLoss}

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """RPNLosses of a batch; arguments as for FasterRCNNTrainStep."""
        model = self.model
        features = model.features(images, sizes)
        outputs = model.rpn_head(model.anchored(features))
        anchors = model.anchors_of(images, features)
        return RPNLosses(*self.rpn_losses(anchors, *outputs, sizes, gt_boxes, gt_labels))

    def rpn_losses(self, anchors, objectness, deltas, sizes, gt_boxes, gt_labels):
        """Class and box loss of the anchors."""
        with autograd.pause():
            labels, targets = self.rpn_targets(anchors, sizes, gt_boxes, gt_labels)
        origins = self.rpn_loss.origins(anchors)
        return self.rpn_loss(objectness, deltas, labels, targets, *origins)

"""One training step of RetinaNet (Lin et al. 2017b): every anchor, and no sampling."""

from typing import NamedTuple

import mxnet as mx
from mxnet import autograd

from detkit.registry import TRAIN_STEPS
from detkit.targets import DenseTargets
from detkit.train_steps.head_losses import DenseLoss
from detkit.train_steps.step import TrainStep


class DenseLosses(NamedTuple):
    """The two losses of RetinaNet, each (1,) and already weighted; they are summed."""

    dense_class: mx.nd.NDArray
    dense_box: mx.nd.NDArray


@TRAIN_STEPS.register("RetinaNet")
class RetinaNetTrainStep(TrainStep):
    """Calls the detector's parts but the last, and compares what the head said with the targets."""

    PARTS = {"dense_targets": DenseTargets, "dense_loss": DenseLoss}

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """DenseLosses of a batch; arguments as for FasterRCNNTrainStep."""
        model = self.model
        features = model.features(images, sizes)
        class_logits, deltas = model.head(model.anchored(features))
        with autograd.pause():
            anchors = model.anchors_of(images, features)
            labels, targets = self.dense_targets(anchors, sizes, gt_boxes, gt_labels)
        origins = self.dense_loss.origins(anchors)
        return DenseLosses(*self.dense_loss(class_logits, deltas, labels, targets, *origins))

"""A RoI head in training: sampled RoIs, what the head says of them, and two losses."""

import functools
from typing import NamedTuple, Sequence

import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.targets import RoITargets
from detkit.train_steps.head_losses import RoILoss


class Sampled(NamedTuple):
    """What a RoI head was trained on, and what it said of it.

    features: the levels. rois (B, S, 4), labels (B, S), targets (B, S, 4): as of RoITargets.
    class_logits (B * S, 1 + K), deltas (B * S, K or 1, 4): the head's.
    """

    features: Sequence[mx.nd.NDArray]
    rois: mx.nd.NDArray
    labels: mx.nd.NDArray
    targets: mx.nd.NDArray
    class_logits: mx.nd.NDArray
    deltas: mx.nd.NDArray


class RoIStage(NamedTuple):
    """The parts of the detector and of its training step that make the losses of one RoI head."""

    extractor: HybridBlock
    head: HybridBlock
    targets: RoITargets
    loss: RoILoss

    def losses(self, features, proposals, scores, gt_boxes, gt_labels):
        """Class and box loss of the RoIs sampled from the proposals, and the Sampled."""
        with autograd.pause():
            rois, labels, targets = self.targets(
                proposals, scores, gt_boxes, gt_labels, functools.partial(self.rows, features)
            )
        class_logits, deltas = self.head(self.extractor(features, rois))
        losses = self.loss(class_logits, deltas, labels, targets, *self.loss.origins(rois))
        return losses, Sampled(features, rois, labels, targets, class_logits, deltas)

    def rows(self, features, rois, labels, targets):
        """Class and box loss together (B, R) of RoIs (B, R, 4), as training would have them."""
        outputs = self.head(self.extractor(features, rois))
        class_losses, box_losses = self.loss.rows(
            *outputs, labels, targets, *self.loss.origins(rois)
        )
        return class_losses + box_losses

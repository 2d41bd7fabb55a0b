"""One training step of Faster R-CNN, from a batch to its losses, in the order of the paper."""

from typing import NamedTuple

import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.losses import binary_cross_entropy, cross_entropy


class Losses(NamedTuple):
    """The four losses of Faster R-CNN, each (1,) and already weighted; they are summed."""

    rpn_class: mx.nd.NDArray
    rpn_box: mx.nd.NDArray
    roi_class: mx.nd.NDArray
    roi_box: mx.nd.NDArray


class FasterRCNNTrainStep:
    """Calls the detector's parts one after another, with targets made in between.

    Approximate joint training (Ren et al. 2015, section 3.2): no gradient flows through the
    proposals' coordinates. Nothing here waits for the device.

    model: a FasterRCNN, whose ``proposals`` (for testing) are not used here.
    proposals: a Proposals block for training, which keeps more.
    """

    def __init__(self, model, rpn_targets, proposals, roi_targets, rpn_loss, roi_loss):
        self._model = model
        self._rpn_targets = rpn_targets
        self._proposals = proposals
        self._roi_targets = roi_targets
        self._rpn_loss = rpn_loss
        self._roi_loss = roi_loss

    def hybridize(self, **flags):
        """Compile the blocks that only training uses."""
        for block in (
            self._rpn_targets,
            self._proposals,
            self._roi_targets,
            self._rpn_loss,
            self._roi_loss,
        ):
            block.hybridize(**flags)

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """Losses of a batch; call it under autograd.record().

        images (B, 3, H, W) RGB 0..255, sizes (B, 2) h, w, gt_boxes (B, G, 4) pixels,
        gt_labels (B, G) 0..K-1, -1 for padding.
        """
        model = self._model
        features = model.features(images, sizes)
        anchors = model.anchors(images, features)
        objectness, anchor_deltas = model.rpn_head(features)

        with autograd.pause():
            anchor_labels, anchor_targets = self._rpn_targets(anchors, sizes, gt_boxes, gt_labels)
            proposals, scores = self._proposals(anchors, objectness, anchor_deltas, sizes)
            rois, roi_labels, roi_targets = self._roi_targets(
                proposals, scores, gt_boxes, gt_labels
            )

        class_logits, box_deltas = model.roi_head(model.roi_extractor(features, rois))
        return Losses(
            *self._rpn_loss(objectness, anchor_deltas, anchor_labels, anchor_targets),
            *self._roi_loss(class_logits, box_deltas, roi_labels, roi_targets),
        )


class _ClassAndBoxLoss(HybridBlock):
    """A class loss and a box loss, both divided by the number of sampled rows of the whole batch.

    Not by the positives, as in torchvision and Detectron2. (The paper divides the RPN's box loss by
    the number of anchor positions and makes up for it with lambda = 10: nearly the same.)

    box: the loss of a delta. class_weight, box_weight: factors of the two.
    """

    def __init__(self, box, class_weight: float = 1.0, box_weight: float = 1.0):
        super().__init__()
        self._class_weight, self._box_weight = class_weight, box_weight
        with self.name_scope():
            self.box = box

    def _mean(self, F, class_losses, box_losses, sampled):
        count = F.maximum(F.sum(sampled), 1)
        return (
            F.broadcast_div(F.sum(class_losses), count) * self._class_weight,
            F.broadcast_div(F.sum(box_losses), count) * self._box_weight,
        )


class RPNLoss(_ClassAndBoxLoss):
    """Objectness and box loss of the anchors (Ren et al. 2015, section 3.1.2)."""

    def hybrid_forward(self, F, objectness, deltas, labels, targets):
        """Two losses (1,).

        objectness (B, N) and deltas (B, N, 4) of each level; labels (B, N) and targets (B, N, 4)
        of all levels, one after another.
        """
        objectness, deltas = F.concat(*objectness, dim=1), F.concat(*deltas, dim=1)
        sampled, positive = labels >= 0, labels > 0
        class_losses = binary_cross_entropy(F, objectness, positive) * sampled
        box_losses = F.broadcast_mul(self.box(deltas, targets), F.expand_dims(positive, axis=2))
        return self._mean(F, class_losses, box_losses, sampled)


class RoILoss(_ClassAndBoxLoss):
    """Class and box loss of the RoIs (Girshick 2015, section 2.3)."""

    def hybrid_forward(self, F, class_logits, deltas, labels, targets):
        """Two losses (1,).

        class_logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S), targets (B, S, 4).
        """
        labels, targets = F.reshape(labels, shape=(-1,)), F.reshape(targets, shape=(-1, 1, 4))
        sampled, positive = labels >= 0, labels > 0
        class_losses = cross_entropy(F, class_logits, F.relu(labels)) * sampled

        # Of the K boxes of a RoI only that of its class is trained; a class-agnostic one always.
        slots = F.reshape(F.contrib.arange_like(deltas, axis=1), shape=(1, -1))
        own = F.broadcast_minimum(F.expand_dims(labels - 1, axis=1), F.max(slots))
        own = F.broadcast_mul(F.broadcast_equal(slots, own), F.expand_dims(positive, axis=1))
        targets = F.broadcast_like(targets, deltas)
        box_losses = F.broadcast_mul(self.box(deltas, targets), F.expand_dims(own, axis=2))
        return self._mean(F, class_losses, box_losses, sampled)

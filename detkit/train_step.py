"""One training step of Faster R-CNN, from a batch to its losses, in the order of the paper."""

import functools
from typing import NamedTuple, Optional, Sequence

import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.boxes import decode
from detkit.losses import (
    BINARY,
    BOXES,
    DELTAS,
    LABELS,
    CrossEntropy,
    SigmoidBCE,
    compared_by,
)


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
        losses, _ = self.box_losses(images, sizes, gt_boxes, gt_labels)
        return losses

    def box_losses(self, images, sizes, gt_boxes, gt_labels):
        """The Losses, and the Sampled RoIs."""
        model = self._model
        features = model.features(images, sizes)
        anchors = model.anchors_of(images, features)
        objectness, anchor_deltas = model.rpn_head(features)

        with autograd.pause():
            anchor_labels, anchor_targets = self._rpn_targets(anchors, sizes, gt_boxes, gt_labels)
            proposals, scores = self._proposals(anchors, objectness, anchor_deltas, sizes)
            rois, roi_labels, roi_targets = self._roi_targets(
                proposals, scores, gt_boxes, gt_labels, functools.partial(self._losses_of, features)
            )

        class_logits, box_deltas = model.roi_head(model.roi_extractor(features, rois))
        losses = Losses(
            *self._rpn_loss(
                objectness,
                anchor_deltas,
                anchor_labels,
                anchor_targets,
                *self._rpn_loss.origins(anchors),
            ),
            *self._roi_loss(
                class_logits, box_deltas, roi_labels, roi_targets, *self._roi_loss.origins(rois)
            ),
        )
        return losses, Sampled(features, rois, roi_labels)

    def _losses_of(self, features, rois, labels, targets):
        """Class and box loss together (B, R) of RoIs (B, R, 4), as training would have them."""
        outputs = self._model.roi_head(self._model.roi_extractor(features, rois))
        origins = self._roi_loss.origins(rois)
        class_losses, box_losses = self._roi_loss.rows(*outputs, labels, targets, *origins)
        return class_losses + box_losses


class _RowLosses(HybridBlock):
    """The class loss and the box loss of every row, weighted; 0 where it is not trained on."""

    def __init__(self, box, class_loss, box_weights, class_weight, box_weight):
        super().__init__()
        self._decoding = box_weights
        self._class_weight, self._box_weight = class_weight, box_weight
        with self.name_scope():
            self.box = box
            self.class_loss = class_loss

    def _box_losses(self, F, deltas, targets, positive, origins):
        """(B, N) of deltas and targets (B, N, 4), positive (B, N); origins: boxes or None."""
        if origins is not None:
            deltas, targets = (decode(F, d, origins, self._decoding) for d in (deltas, targets))
        return F.sum(self.box(deltas, targets), axis=-1) * positive * self._box_weight


class _RPNRowLosses(_RowLosses):
    def hybrid_forward(self, F, objectness, deltas, labels, targets, anchors=None):
        """Class and box losses (B, N) of the anchors; arguments as for RPNLoss."""
        objectness, deltas = F.concat(*objectness, dim=1), F.concat(*deltas, dim=1)
        sampled, positive = labels >= 0, labels > 0
        class_losses = self.class_loss(objectness, positive) * sampled * self._class_weight
        origins = None if anchors is None else F.concat(*anchors, dim=1)
        return class_losses, self._box_losses(F, deltas, targets, positive, origins)


class _RoIRowLosses(_RowLosses):
    def hybrid_forward(self, F, class_logits, deltas, labels, targets, rois=None):
        """Class and box losses (B, S) of the RoIs; arguments as for RoILoss."""
        rows = F.reshape(labels, shape=(-1,))
        class_losses = self._class_losses(F, class_logits, F.relu(rows)) * (rows >= 0)
        class_losses = F.reshape_like(class_losses, labels) * self._class_weight

        # Of the K boxes of a RoI only that of its class is trained; of a class-agnostic head the
        # only one: pick clips a number that is too large.
        own = F.broadcast_like(F.expand_dims(rows - 1, axis=1), F.reshape(targets, shape=(-1, 4)))
        deltas = F.pick(F.transpose(deltas, axes=(0, 2, 1)), own, axis=2, mode="clip")
        deltas = F.reshape_like(deltas, targets)
        return class_losses, self._box_losses(F, deltas, targets, labels > 0, rois)

    def _class_losses(self, F, logits, labels):
        if compared_by(self.class_loss) == LABELS:
            return self.class_loss(logits, labels)
        classes = F.reshape(F.contrib.arange_like(logits, axis=1), shape=(1, -1))
        is_class = F.broadcast_equal(F.expand_dims(labels, axis=1), classes)
        return F.sum(self.class_loss(logits, is_class), axis=1)


class _ClassAndBoxLoss(HybridBlock):
    """A class loss and a box loss, both divided by the number of sampled rows of the whole batch.

    Not by the positives, as in torchvision and Detectron2. (The paper divides the RPN's box loss by
    the number of anchor positions and makes up for it with lambda = 10: nearly the same.)

    box: the loss of the deltas or, if it compares BOXES, of the boxes they make.
    class_loss: built from ``class``; by default the paper's.
    box_weights: derived from the part that decodes in testing.
    class_weight, box_weight: factors of the two.
    """

    def __init__(
        self,
        box,
        class_loss=None,
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
    ):
        super().__init__()
        class_loss = class_loss or self._default_class_loss()
        _check("box", box, (DELTAS, BOXES))
        _check("class", class_loss, self._class_kinds)
        self._moves_boxes = compared_by(box) == BOXES
        with self.name_scope():
            self.rows = self._rows(box, class_loss, box_weights, class_weight, box_weight)

    def origins(self, boxes):
        """``(boxes,)``, the last argument, where the box loss needs what the deltas move, or ()."""
        return (boxes,) if self._moves_boxes else ()

    def hybrid_forward(self, F, logits, deltas, labels, targets, *origins):
        """Two losses (1,); the arguments are those of ``rows``."""
        class_losses, box_losses = self.rows(logits, deltas, labels, targets, *origins)
        count = F.maximum(F.sum(labels >= 0), 1)
        return F.broadcast_div(F.sum(class_losses), count), F.broadcast_div(
            F.sum(box_losses), count
        )


def _check(key, loss, kinds):
    kind = compared_by(loss)
    if kind not in kinds:
        raise ValueError(
            f"{key}: the loss {type(loss).__name__} compares {kind}; one is needed that compares "
            f"{' or '.join(kinds)}"
        )


class RPNLoss(_ClassAndBoxLoss):
    """Objectness and box loss of the anchors (Ren et al. 2015, section 3.1.2).

    objectness (B, N) and deltas (B, N, 4) of each level; labels (B, N) and targets (B, N, 4) of all
    levels, one after another; perhaps anchors (1, N, 4) of each level.
    """

    _rows, _default_class_loss, _class_kinds = _RPNRowLosses, SigmoidBCE, (BINARY,)


class RoILoss(_ClassAndBoxLoss):
    """Class and box loss of the RoIs (Girshick 2015, section 2.3).

    class_logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S), targets (B, S, 4);
    perhaps RoIs (B, S, 4). A class loss that compares BINARY asks of every logit, that of the
    background too, whether the RoI is of its class.

    num_classes: derived from the dataset; the weights of a CrossEntropy are one more.
    """

    _rows, _default_class_loss, _class_kinds = _RoIRowLosses, CrossEntropy, (LABELS, BINARY)

    def __init__(
        self,
        box,
        class_loss=None,
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        num_classes: Optional[int] = None,
    ):
        super().__init__(box, class_loss, box_weights, class_weight, box_weight)
        count = len(getattr(class_loss, "weights", ()))
        if count and num_classes is not None and count != 1 + num_classes:
            raise ValueError(
                f"class: there are {count} weights for {num_classes} classes; expected "
                f"{1 + num_classes}, that of the background first"
            )

"""The two stages that most training steps have: the anchors' and the RoIs'.

Each makes its targets, asks its head, and compares the one with the other.
"""

import functools
from typing import Dict, NamedTuple, Sequence

import mxnet as mx
from mxnet import autograd

NDArray = mx.nd.NDArray


class Judged(NamedTuple):
    """What the head of an RPN said of the anchors in training, and its losses.

    anchors (1, N, 4), objectness (B, N) and deltas (B, N, 4) of each level. losses: {name: (1,)}.
    """

    anchors: Sequence[NDArray]
    objectness: Sequence[NDArray]
    deltas: Sequence[NDArray]
    losses: Dict[str, NDArray]


class RPNStage:
    """The anchors in training (Ren et al. 2015, section 3.1).

    model: with anchors and an rpn_head. targets: an RPNTargets. loss: an RPNLoss.
    """

    @staticmethod
    def derived(name, model):
        """``TrainStep.derived`` of the parts ``rpn_targets`` and ``rpn_loss``."""
        encoded = {"box_weights": model.proposals.box_weights}
        return {"rpn_targets": encoded, "rpn_loss": encoded}.get(name, {})

    def __init__(self, model, targets, loss):
        self._model, self._targets, self._loss = model, targets, loss

    def __call__(self, images, features, sizes, gt_boxes, gt_labels):
        """The Judged anchors of the levels ``features``; arguments as for FasterRCNNTrainStep."""
        anchors = self._model.anchors_of(images, features)
        objectness, deltas = self._model.rpn_head(self._model.anchored(features))
        with autograd.pause():
            labels, targets = self._targets(anchors, sizes, gt_boxes, gt_labels)
        class_loss, box_loss = self._loss(objectness, deltas, labels, targets, anchors)
        losses = {"rpn_class": class_loss, "rpn_box": box_loss}
        return Judged(anchors, objectness, deltas, losses)


class Sampled(NamedTuple):
    """The RoIs that a head was trained on, what it said of them, and its losses.

    rois (B, S, 4), labels (B, S), targets (B, S, 4): as of RoITargets. class_logits
    (B * S, 1 + K), deltas (B * S, K or 1, 4): the head's. losses: {name: (1,)}.
    """

    rois: NDArray
    labels: NDArray
    targets: NDArray
    class_logits: NDArray
    deltas: NDArray
    losses: Dict[str, NDArray]


class RoIStage:
    """A RoI head in training (Girshick 2015, section 2.3).

    extractor, head: the detector's. targets: a RoITargets. loss: a RoILoss. suffix: after the names
    of the losses, of one stage among several.
    """

    @staticmethod
    def derived(name, box_weights, num_classes):
        """``TrainStep.derived`` of the parts ``roi_targets`` and ``roi_loss``.

        box_weights: of what decodes the head's boxes in testing.
        """
        encoded = {"box_weights": box_weights}
        return {
            "roi_targets": encoded,
            "roi_loss": {**encoded, "num_classes": num_classes},
        }.get(name, {})

    def __init__(self, extractor, head, targets, loss, suffix=""):
        self._extractor, self._head, self._targets, self._loss = extractor, head, targets, loss
        self._names = f"roi_class{suffix}", f"roi_box{suffix}"

    def __call__(self, features, proposals, scores, gt_boxes, gt_labels):
        """The RoIs Sampled from proposals (B, R, 4), whose scores (B, R) are < 0 for padding."""
        with autograd.pause():
            rois, labels, targets = self._targets(
                proposals, scores, gt_boxes, gt_labels, functools.partial(self.losses_of, features)
            )
        class_logits, deltas = self._head(self._extractor(features, rois))
        losses = self._loss(class_logits, deltas, labels, targets, rois)
        return Sampled(rois, labels, targets, class_logits, deltas, dict(zip(self._names, losses)))

    def losses_of(self, features, rois, labels, targets):
        """Class and box loss together (B, R) of RoIs (B, R, 4), for a sampler that needs them."""
        outputs = self._head(self._extractor(features, rois))
        class_losses, box_losses = self._loss.of_each(mx.nd, *outputs, labels, targets, rois)
        return class_losses + box_losses

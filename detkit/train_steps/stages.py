"""The stages that most training steps have: one for the anchors, one for the RoIs.

Each makes targets, calls its head, and compares the head's output with the targets.
"""

import contextlib
import functools
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.losses import RoILoss, RPNLoss
from detkit.models import Network
from detkit.targets import RoITargets, RPNTargets
from detkit.train_steps.step import Losses
from detkit.typing import NDArray, PerLevel


class RPNOutput(NamedTuple):
    """The anchors of a batch, the output of the RPN's head for them, and its losses.

    anchors (1, N, 4), objectness (B, N) and deltas (B, N, 4) of each level.
    """

    anchors: PerLevel
    objectness: PerLevel
    deltas: PerLevel
    losses: Losses


class RPNStage:
    """The training of the anchors (Ren et al. 2015, section 3.1).

    model: a detector with ``anchors`` and an ``rpn_head``.
    """

    @staticmethod
    def derived(name: str, model: Network) -> Dict[str, Any]:
        """Returns what TrainStep.derived does for the parts ``rpn_targets`` and ``rpn_loss``."""
        if name not in ("rpn_targets", "rpn_loss"):
            return {}
        derived = {"box_weights": model.proposals.box_weights}
        return {**derived, "num_anchors": model.anchors.per_cell} if name == "rpn_loss" else derived

    def __init__(self, model: Network, targets: RPNTargets, loss: RPNLoss) -> None:
        self._model, self._targets, self._loss = model, targets, loss

    def __call__(
        self,
        images: NDArray,
        features: PerLevel,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
    ) -> RPNOutput:
        """Returns the output of the head for ``features``, maps (B, C, H, W), and its losses.

        The other arguments are those of FasterRCNNTrainStep.
        """
        anchors = self._model.anchors_of(images, features)
        objectness, deltas = self._model.rpn_head(self._model.anchored(features))
        with autograd.pause():
            labels, targets = self._targets(anchors, sizes, gt_boxes, gt_labels)
        class_loss, box_loss = self._loss(objectness, deltas, labels, targets, anchors)
        losses = {"rpn_class": class_loss, "rpn_box": box_loss}
        return RPNOutput(anchors, objectness, deltas, losses)


class RoIOutput(NamedTuple):
    """The RoIs that a head was trained on, the head's output for them, and its losses.

    rois (B, S, 4), labels (B, S) and targets (B, S, 4) of RoITargets; features (B * S, C, P, P) of
    the extractor; class_logits (B * S, 1 + K) and deltas (B * S, K or 1, 4) of the head.
    """

    rois: NDArray
    labels: NDArray
    targets: NDArray
    features: NDArray
    class_logits: NDArray
    deltas: NDArray
    losses: Losses


class RoIStage:
    """The training of a RoI head (Girshick 2015, section 2.3).

    extractor, head: parts of the detector, or functions that call several of them.
    suffix: of the names of the losses, to tell the stages of a cascade apart.
    differentiable: whether RoIs and box targets pass gradients on to the proposals that they were
        made of. Which proposals are sampled, and for which objects, counts as fixed.
    """

    @staticmethod
    def derived(
        name: str,
        box_weights: Sequence[float],
        num_classes: int,
        box_statistics: Optional[HybridBlock] = None,
    ) -> Dict[str, Any]:
        """Returns what TrainStep.derived does for the parts ``roi_targets`` and ``roi_loss``.

        box_weights, box_statistics: those of the part that decodes the head's boxes in testing.
        """
        derived = {"box_weights": box_weights, "box_statistics": box_statistics}
        if name == "roi_targets":
            return derived
        return {**derived, "num_classes": num_classes} if name == "roi_loss" else {}

    @staticmethod
    def derived_from(name: str, model: Network, num_classes: int) -> Dict[str, Any]:
        """Returns what ``derived`` does for a detector with one stage of RoIs."""
        post = model.postprocess
        statistics = getattr(post, "box_statistics", None)
        return RoIStage.derived(name, post.box_weights, num_classes, statistics)

    def __init__(
        self,
        extractor: Callable[..., NDArray],
        head: Callable[..., Any],
        targets: RoITargets,
        loss: RoILoss,
        suffix: str = "",
        differentiable: bool = False,
    ) -> None:
        self._extractor, self._head, self._targets, self._loss = extractor, head, targets, loss
        self._names = f"roi_class{suffix}", f"roi_box{suffix}"
        self._fixed = contextlib.nullcontext if differentiable else autograd.pause

    def __call__(
        self,
        features: PerLevel,
        proposals: NDArray,
        scores: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
    ) -> RoIOutput:
        """Returns RoIs sampled from the proposals, the output of the head and its losses.

        features: maps (B, C, H, W); proposals (B, R, 4) in pixels; scores (B, R), below 0 for
        padding; gt_boxes (B, G, 4); gt_labels (B, G).
        """
        with self._fixed():
            rois, labels, targets = self._targets(
                proposals, scores, gt_boxes, gt_labels, functools.partial(self.losses_of, features)
            )
        roi_features = self._extractor(features, rois)
        class_logits, deltas = self._head(roi_features)
        losses = self._loss(class_logits, deltas, labels, targets, rois)
        named = dict(zip(self._names, losses))
        return RoIOutput(rois, labels, targets, roi_features, class_logits, deltas, named)

    def losses_of(
        self, features: PerLevel, rois: NDArray, labels: NDArray, targets: NDArray
    ) -> NDArray:
        """Returns the sum of class and box loss (B, R) of each RoI, for a sampler by losses.

        features: maps (B, C, H, W); rois (B, R, 4), labels (B, R), targets (B, R, 4).
        """
        with autograd.pause():
            logits, deltas = self._head(self._extractor(features, rois))
            losses = self._loss.of_each(mx.nd, logits, deltas, labels, targets, rois)
            class_losses, box_losses = losses
            return class_losses + box_losses

"""The training step of Cascade R-CNN: that of Faster R-CNN, with several stages of RoIs."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import mxnet as mx
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.losses import RoILoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIOutput, RoIStage, RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray, PerLevel


@TRAIN_STEPS.register("CascadeRCNN")
class CascadeRCNNTrainStep(TrainStep):
    """The step of Faster R-CNN with targets and two losses for each stage.

    The losses of the first stage are called roi_class_1 and roi_box_1.
    """

    PARTS = {**FasterRCNNTrainStep.PARTS, "roi_targets": [RoITargets], "roi_loss": [RoILoss]}

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.cascade = Cascade(model, self.roi_targets, self.roi_loss)

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        return Cascade.derived(name, model, num_classes) or FasterRCNNTrainStep.derived(
            name, model, parts, num_classes
        )

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses of a batch; for the arguments, see FasterRCNNTrainStep."""
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        _, losses = self.cascade(features, proposals, scores, sizes, gt_boxes, gt_labels)
        return {**rpn.losses, **losses}


class Cascade:
    """The training of the stages of a cascade (Cai and Vasconcelos 2018, section 4).

    A stage samples its RoIs from the ground-truth boxes and from the boxes that the stage before
    made of its own sample. The boxes that a stage made of the ground-truth boxes are left out,
    because they are better than any that it makes in testing. mmdetection does the same. Detectron2
    adds the ground-truth boxes to the first stage alone, samples there alone, and keeps the boxes
    that it makes of them. No gradient flows through a box from one stage to the next.

    model: with roi_extractor, roi_heads and refine. targets, losses: one for each stage.
    """

    @staticmethod
    def derived(name: str, model: Network, num_classes: int) -> List[Dict[str, Any]]:
        """Returns what TrainStep.derived does for the parts ``roi_targets`` and ``roi_loss``."""
        earlier = model.stage_weights[:-1]
        stages = [RoIStage.derived(name, weights, num_classes) for weights in earlier]
        stages.append(RoIStage.derived_from(name, model, num_classes))
        return stages if stages[0] else []

    def __init__(
        self, model: Network, targets: Sequence[RoITargets], losses: Sequence[RoILoss]
    ) -> None:
        self._refine = model.refine
        self._stages = [
            RoIStage(model.roi_extractor, *parts, suffix=f"_{number}")
            for number, parts in enumerate(zip(model.roi_heads, targets, losses), start=1)
        ]

    def __call__(
        self,
        features: PerLevel,
        proposals: NDArray,
        scores: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
    ) -> Tuple[RoIOutput, Losses]:
        """Returns the output of the first stage, and the losses of all stages.

        The arguments are those of RoIStage, and sizes (B, 2) h, w.
        """
        first, *others = self._stages
        outputs = [first(features, proposals, scores, gt_boxes, gt_labels)]
        for stage, refine in zip(others, self._refine):
            boxes, scores = self._refined(refine, outputs[-1], sizes)
            outputs.append(stage(features, boxes, scores, gt_boxes, gt_labels))
        losses = {name: loss for output in outputs for name, loss in output.losses.items()}
        return outputs[0], losses

    def _refined(
        self, refine: HybridBlock, output: RoIOutput, sizes: NDArray
    ) -> Tuple[NDArray, NDArray]:
        """Returns the boxes (B, S, 4) that a stage makes of its RoIs, and their scores (B, S).

        The score is 0 for the boxes that go on to the next stage. It is -1 for RoIs that were not
        sampled, and for the ground-truth boxes themselves, whose targets are all 0.
        """
        with autograd.pause():
            boxes = refine(output.rois, output.class_logits, output.deltas, sizes)
            was_sampled = output.labels >= 0
            is_ground_truth = mx.nd.logical_and(
                output.labels > 0, (output.targets == 0).min(axis=2)
            )
            goes_on = mx.nd.logical_and(was_sampled, mx.nd.logical_not(is_ground_truth))
            zeros = mx.nd.zeros_like(goes_on)
            return boxes, mx.nd.where(goes_on, zeros, zeros - 1)

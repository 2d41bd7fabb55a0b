"""One training step of Cascade R-CNN: that of Faster R-CNN, with the RoIs of stage after stage."""

import mxnet as mx
from mxnet import autograd

from detkit.losses import RoILoss
from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import TrainStep


@TRAIN_STEPS.register("CascadeRCNN")
class CascadeRCNNTrainStep(TrainStep):
    """The step of FasterRCNNTrainStep, with targets and two losses for each stage.

    The losses of the first stage are called roi_class_1 and roi_box_1.
    """

    PARTS = {**FasterRCNNTrainStep.PARTS, "roi_targets": [RoITargets], "roi_loss": [RoILoss]}

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.cascade = Cascade(model, self.roi_targets, self.roi_loss)

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """The arguments that follow from the detector, see TrainStep."""
        return Cascade.derived(name, model, num_classes) or FasterRCNNTrainStep.derived(
            name, model, parts, num_classes
        )

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """Losses of a batch; arguments as for FasterRCNNTrainStep."""
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(rpn.anchors, rpn.objectness, rpn.deltas, sizes)
        _, losses = self.cascade(features, proposals, scores, sizes, gt_boxes, gt_labels)
        return {**rpn.losses, **losses}


class Cascade:
    """The stages of a cascade in training (Cai and Vasconcelos 2018, section 4).

    The RoIs of a stage are sampled from the objects and from the boxes that the stage before made
    of its own sample, without the boxes that it made of the objects themselves: those are better
    than any that it makes in testing. (So it is in mmdetection. Detectron2 adds the objects to the
    first stage alone, samples there alone, and keeps the boxes that it makes of them.) No gradient
    flows through a box from one stage to the next.

    model: with roi_extractor, roi_heads and refine. targets, losses: one for each stage.
    """

    @staticmethod
    def derived(name, model, num_classes):
        """``TrainStep.derived`` of the parts ``roi_targets`` and ``roi_loss``."""
        stages = [RoIStage.derived(name, weights, num_classes) for weights in model.stage_weights]
        return stages if stages[0] else []

    def __init__(self, model, targets, losses):
        self._refine = model.refine
        self._stages = [
            RoIStage(model.roi_extractor, *parts, suffix=f"_{number}")
            for number, parts in enumerate(zip(model.roi_heads, targets, losses), start=1)
        ]

    def __call__(self, features, proposals, scores, sizes, gt_boxes, gt_labels):
        """The RoIs Sampled by the first stage, and the losses of all."""
        first, *others = self._stages
        sampled = [first(features, proposals, scores, gt_boxes, gt_labels)]
        for stage, refine in zip(others, self._refine):
            boxes, scores = self._refined(refine, sampled[-1], sizes)
            sampled.append(stage(features, boxes, scores, gt_boxes, gt_labels))
        losses = {name: loss for each in sampled for name, loss in each.losses.items()}
        return sampled[0], losses

    def _refined(self, refine, sampled, sizes):
        """The boxes (B, S, 4) that a stage makes of its RoIs, and their scores (B, S).

        The score is 0 for the boxes that go on to the next stage. It is -1 for RoIs that were not
        sampled, and for the ground-truth boxes themselves, whose targets are all 0.
        """
        with autograd.pause():
            boxes = refine(sampled.rois, sampled.class_logits, sampled.deltas, sizes)
            was_sampled = sampled.labels >= 0
            is_ground_truth = mx.nd.logical_and(
                sampled.labels > 0, (sampled.targets == 0).min(axis=2)
            )
            goes_on = mx.nd.logical_and(was_sampled, mx.nd.logical_not(is_ground_truth))
            zeros = mx.nd.zeros_like(goes_on)
            return boxes, mx.nd.where(goes_on, zeros, zeros - 1)

"""One training step of Fast R-CNN, on proposals that come with the batch."""

from typing import NamedTuple

import mxnet as mx

from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets
from detkit.train_steps.head_losses import RoILoss
from detkit.train_steps.roi_stage import RoIStage
from detkit.train_steps.step import TrainStep


class RoILosses(NamedTuple):
    """The two losses of the RoIs, each (1,) and already weighted; they are summed."""

    roi_class: mx.nd.NDArray
    roi_box: mx.nd.NDArray


@TRAIN_STEPS.register("FastRCNN")
class FastRCNNTrainStep(TrainStep):
    """RoIs are sampled from the proposals of each image (Girshick 2015, section 2.3)."""

    PARTS = {"roi_targets": RoITargets, "roi_loss": RoILoss}

    def __call__(self, images, sizes, gt_boxes, gt_labels, proposals, proposal_scores):
        """RoILosses of a batch; proposals (B, R, 4), proposal_scores (B, R) negative for padding.

        The others as for FasterRCNNTrainStep.
        """
        features = self.model.features(images, sizes)
        losses, _ = self.roi_losses(features, proposals, proposal_scores, gt_boxes, gt_labels)
        return RoILosses(*losses)

    def roi_losses(self, features, proposals, scores, gt_boxes, gt_labels):
        """Class and box loss of the RoIs sampled from the proposals, and the Sampled."""
        model = self.model
        stage = RoIStage(model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss)
        return stage.losses(features, proposals, scores, gt_boxes, gt_labels)

"""One training step of Fast R-CNN, on proposals that come with the batch."""

from detkit.losses import RoILoss
from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets
from detkit.train_steps.stages import RoIStage
from detkit.train_steps.step import TrainStep


@TRAIN_STEPS.register("FastRCNN")
class FastRCNNTrainStep(TrainStep):
    """RoIs are sampled from the proposals of each image (Girshick 2015, section 2.3)."""

    PARTS = {"roi_targets": RoITargets, "roi_loss": RoILoss}
    INPUTS = (*TrainStep.INPUTS, "proposals", "proposal_scores")

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self.roi_stage = RoIStage(
            model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss
        )

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """The arguments that follow from the detector, see TrainStep."""
        return RoIStage.derived(name, model.postprocess.box_weights, num_classes)

    def __call__(self, images, sizes, gt_boxes, gt_labels, proposals, proposal_scores):
        """Losses of a batch; proposals (B, R, 4), proposal_scores (B, R) negative for padding.

        The other arguments are as for FasterRCNNTrainStep.
        """
        features = self.model.features(images, sizes)
        return self.roi_stage(features, proposals, proposal_scores, gt_boxes, gt_labels).losses

"""One training step of Mask R-CNN: that of Faster R-CNN, and the masks of its positive RoIs."""

from mxnet import autograd

from detkit.losses import MaskLoss
from detkit.registry import TRAIN_STEPS
from detkit.targets import MaskTargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import TrainStep


@TRAIN_STEPS.register("MaskRCNN")
class MaskRCNNTrainStep(TrainStep):
    """The step of FasterRCNNTrainStep, with a fifth loss (He et al. 2017, section 3)."""

    PARTS = {**FasterRCNNTrainStep.PARTS, "mask_targets": MaskTargets, "mask_loss": MaskLoss}
    INPUTS = (*TrainStep.INPUTS, "masks")

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.roi_stage = RoIStage(
            model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss
        )

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """The arguments that follow from the detector, see TrainStep."""
        if name == "mask_targets":
            return {"size": model.mask_head.size, "rois": parts["roi_targets"].max_positive}
        return FasterRCNNTrainStep.derived(name, model, parts, num_classes)

    def __call__(self, images, sizes, gt_boxes, gt_labels, gt_masks):
        """Losses of a batch; gt_masks (B, G, H, W) uint8 of 0 and 1.

        The other arguments are as for FasterRCNNTrainStep.
        """
        model = self.model
        features = model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(rpn.anchors, rpn.objectness, rpn.deltas, sizes)
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        with autograd.pause():
            rois, classes, targets = self.mask_targets(
                roi.rois, roi.labels, gt_boxes, gt_labels, gt_masks
            )
        logits = model.mask_head(model.mask_extractor(features, rois), classes)
        return {**rpn.losses, **roi.losses, "mask": self.mask_loss(logits, classes, targets)}

"""The training step of Mask R-CNN: that of Faster R-CNN, and the masks of its positive RoIs."""

from typing import Any, Mapping

from mxnet import autograd

from detkit.losses import MaskLoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import MaskTargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("MaskRCNN")
class MaskRCNNTrainStep(TrainStep):
    """The step of Faster R-CNN with a fifth loss, that of the masks (He et al. 2017, section 3)."""

    PARTS = {**FasterRCNNTrainStep.PARTS, "mask_targets": MaskTargets, "mask_loss": MaskLoss}
    INPUTS = (*TrainStep.INPUTS, "masks")

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.roi_stage = RoIStage(
            model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss
        )

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        if name == "mask_targets":
            return {"size": model.mask_head.size, "rois": parts["roi_targets"].max_positive}
        return FasterRCNNTrainStep.derived(name, model, parts, num_classes)

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        gt_masks: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses of Faster R-CNN and the loss ``mask`` of a batch.

        gt_masks (B, G, H, W) uint8 of 0 and 1. For the other arguments, see FasterRCNNTrainStep.
        """
        model = self.model
        features = model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        with autograd.pause():
            rois, classes, targets = self.mask_targets(
                roi.rois, roi.labels, gt_boxes, gt_labels, gt_masks
            )
        logits = model.mask_head(model.mask_extractor(features, rois), classes)
        return {**rpn.losses, **roi.losses, "mask": self.mask_loss(logits, classes, targets)}

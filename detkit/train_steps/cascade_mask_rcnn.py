"""The training step of Cascade R-CNN with masks."""

from typing import Any, Mapping

from mxnet import autograd

from detkit.losses import MaskLoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import MaskTargets
from detkit.train_steps.cascade_rcnn import Cascade, CascadeRCNNTrainStep
from detkit.train_steps.stages import RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("CascadeMaskRCNN")
class CascadeMaskRCNNTrainStep(TrainStep):
    """The step of Cascade R-CNN with a loss of the masks.

    The masks are those of the first stage's positive RoIs, as in Detectron2.
    """

    PARTS = {**CascadeRCNNTrainStep.PARTS, "mask_targets": MaskTargets, "mask_loss": MaskLoss}
    INPUTS = (*TrainStep.INPUTS, "masks")

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.cascade = Cascade(model, self.roi_targets, self.roi_loss)

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        if name == "mask_targets":
            return {"size": model.mask_head.size, "rois": parts["roi_targets"][0].max_positive}
        return CascadeRCNNTrainStep.derived(name, model, parts, num_classes)

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        gt_masks: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses of a batch; for the arguments, see MaskRCNNTrainStep."""
        model = self.model
        features = model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        roi, losses = self.cascade(features, proposals, scores, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            rois, classes, targets = self.mask_targets(
                roi.rois, roi.labels, gt_boxes, gt_labels, gt_masks
            )
        logits = model.mask_head(model.mask_extractor(features, rois), classes)
        return {**rpn.losses, **losses, "mask": self.mask_loss(logits, classes, targets)}

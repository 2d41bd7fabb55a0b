"""The training step of Keypoint R-CNN: that of Faster R-CNN, and the keypoints of positive RoIs."""

from typing import Any, Mapping

from mxnet import autograd

from detkit.errors import DataError
from detkit.losses import KeypointLoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import KeypointTargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("KeypointRCNN")
class KeypointRCNNTrainStep(TrainStep):
    """The step of Faster R-CNN with a fifth loss, that of keypoints (He et al. 2017, section 5)."""

    PARTS = {
        **FasterRCNNTrainStep.PARTS,
        "keypoint_targets": KeypointTargets,
        "keypoint_loss": KeypointLoss,
    }
    INPUTS = (*TrainStep.INPUTS, "keypoints")

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
        if name == "keypoint_targets":
            return {"size": model.keypoint_head.size, "rois": parts["roi_targets"].max_positive}
        return FasterRCNNTrainStep.derived(name, model, parts, num_classes)

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        gt_keypoints: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses of Faster R-CNN and the loss ``keypoint`` of a batch.

        gt_keypoints (B, G, J, 3) x, y in pixels and COCO's flag. For the other arguments, see
        FasterRCNNTrainStep. Raises DataError if the head has another number of keypoints.
        """
        model = self.model
        _check_count(model.keypoint_head.num_keypoints, gt_keypoints.shape[2])
        features = model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        with autograd.pause():
            rois, cells = self.keypoint_targets(
                roi.rois, roi.labels, gt_boxes, gt_labels, gt_keypoints
            )
        heatmaps = model.keypoint_head(model.keypoint_extractor(features, rois))
        return {**rpn.losses, **roi.losses, "keypoint": self.keypoint_loss(heatmaps, cells)}


def _check_count(of_head: int, of_data: int) -> None:
    if of_head != of_data:
        raise DataError(
            f"model.keypoint_head.num_keypoints: expected {of_data}, the number of keypoints of "
            f"the dataset, found {of_head}"
        )

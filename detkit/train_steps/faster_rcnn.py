"""The training step of Faster R-CNN, from a batch to its losses, in the order of the paper."""

from typing import Any, Mapping

from mxnet import autograd

from detkit.losses import RoILoss, RPNLoss
from detkit.models import Network
from detkit.registry import PROPOSALS, TRAIN_STEPS
from detkit.targets import RoITargets, RPNTargets
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("FasterRCNN")
class FasterRCNNTrainStep(TrainStep):
    """Approximate joint training (Ren et al. 2015, section 3.2).

    No gradient flows through the coordinates of the proposals. The part ``proposals`` of the
    detector is for testing; that of the step keeps more of them.
    """

    PARTS = {
        "rpn_targets": RPNTargets,
        "rpn_loss": RPNLoss,
        "proposals": PROPOSALS,
        "roi_targets": RoITargets,
        "roi_loss": RoILoss,
    }

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
        if name == "proposals":
            return {"box_weights": model.proposals.box_weights}
        return RPNStage.derived(name, model) or RoIStage.derived_from(name, model, num_classes)

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses rpn_class, rpn_box, roi_class and roi_box of a batch.

        images (B, 3, H, W) RGB 0..255; sizes (B, 2) h, w in pixels; gt_boxes (B, G, 4) in pixels;
        gt_labels (B, G) 0..K-1, -1 for padding; scales (B, 2) x, y of the images, only if the
        proposals need them, see Proposals.
        """
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        return {**rpn.losses, **roi.losses}

"""The training step of R-CNN: the fine-tuning of its network on warped regions."""

from typing import Any, Mapping

from detkit.losses import RoILoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets
from detkit.train_steps.stages import RoIStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("RCNN")
class RCNNTrainStep(TrainStep):
    """The classification of sampled regions by 1 + K classes (Girshick et al. 2014, section 2.3).

    The SVMs and box regressors that the paper fits afterwards are those of detkit fit-svms.
    """

    PARTS = {"roi_targets": RoITargets, "roi_loss": RoILoss}
    INPUTS = (*TrainStep.INPUTS, "proposals", "proposal_scores")

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.roi_stage = RoIStage(
            model.region_features, model.roi_head, self.roi_targets, self.roi_loss
        )

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        return RoIStage.derived_from(name, model, num_classes)

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        proposals: NDArray,
        proposal_scores: NDArray,
    ) -> Losses:
        """Returns the losses roi_class and roi_box of a batch; see FastRCNNTrainStep."""
        features = self.model.features(images, sizes)
        return self.roi_stage(features, proposals, proposal_scores, gt_boxes, gt_labels).losses

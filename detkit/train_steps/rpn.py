"""The training step of a region proposal network."""

from typing import Any, Mapping

from detkit.losses import RPNLoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import RPNTargets
from detkit.train_steps.stages import RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("RPN")
class RPNTrainStep(TrainStep):
    """The training of the anchors as objects or background (Ren et al. 2015, section 3.1)."""

    PARTS = {"rpn_targets": RPNTargets, "rpn_loss": RPNLoss}

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        return RPNStage.derived(name, model)

    def __call__(
        self, images: NDArray, sizes: NDArray, gt_boxes: NDArray, gt_labels: NDArray
    ) -> Losses:
        """Returns the losses rpn_class and rpn_box; for the arguments, see FasterRCNNTrainStep."""
        features = self.model.features(images, sizes)
        return self.rpn_stage(images, features, sizes, gt_boxes, gt_labels).losses

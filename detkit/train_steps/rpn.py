"""One training step of a region proposal network."""

from detkit.losses import RPNLoss
from detkit.registry import TRAIN_STEPS
from detkit.targets import RPNTargets
from detkit.train_steps.stages import RPNStage
from detkit.train_steps.step import TrainStep


@TRAIN_STEPS.register("RPN")
class RPNTrainStep(TrainStep):
    """Anchors are objects or background, whatever the class (Ren et al. 2015, section 3.1)."""

    PARTS = {"rpn_targets": RPNTargets, "rpn_loss": RPNLoss}

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """The arguments that follow from the detector, see TrainStep."""
        return RPNStage.derived(name, model)

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """Losses of a batch; arguments as for FasterRCNNTrainStep."""
        features = self.model.features(images, sizes)
        return self.rpn_stage(images, features, sizes, gt_boxes, gt_labels).losses

"""One training step of Cascade R-CNN with masks."""

from collections import namedtuple

from detkit.registry import TRAIN_STEPS
from detkit.targets import MaskTargets
from detkit.train_steps.cascade_rcnn import CascadeRCNNTrainStep
from detkit.train_steps.mask_rcnn import MaskLoss, MaskRCNNTrainStep


@TRAIN_STEPS.register("CascadeMaskRCNN")
class CascadeMaskRCNNTrainStep(CascadeRCNNTrainStep, MaskRCNNTrainStep):
    """As CascadeRCNNTrainStep, and the masks of the first stage's positive RoIs (Detectron2)."""

    PARTS = {**CascadeRCNNTrainStep.PARTS, "mask_targets": MaskTargets, "mask_loss": MaskLoss}

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self._with_mask = namedtuple("CascadeMaskLosses", (*self._losses._fields, "mask"))

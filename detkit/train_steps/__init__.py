"""A batch -> its losses: one file for each detector, of the same name as in models/."""

from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep, Losses, Sampled
from detkit.train_steps.head_losses import RoILoss, RPNLoss
from detkit.train_steps.mask_rcnn import MaskLoss, MaskLosses, MaskRCNNTrainStep

__all__ = [
    "FasterRCNNTrainStep",
    "Losses",
    "MaskLoss",
    "MaskLosses",
    "MaskRCNNTrainStep",
    "RPNLoss",
    "RoILoss",
    "Sampled",
]

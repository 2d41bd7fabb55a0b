"""A batch -> its losses: one file for each detector, of the same name as in models/."""

from detkit.train_steps.cascade_mask_rcnn import CascadeMaskRCNNTrainStep
from detkit.train_steps.cascade_rcnn import CascadeRCNNTrainStep
from detkit.train_steps.fast_rcnn import FastRCNNTrainStep, RoILosses
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep, Losses
from detkit.train_steps.head_losses import DenseLoss, RoILoss, RPNLoss
from detkit.train_steps.mask_rcnn import MaskLoss, MaskLosses, MaskRCNNTrainStep
from detkit.train_steps.retina_net import DenseLosses, RetinaNetTrainStep
from detkit.train_steps.roi_stage import RoIStage, Sampled
from detkit.train_steps.rpn import RPNLosses, RPNTrainStep

__all__ = [
    "CascadeMaskRCNNTrainStep",
    "CascadeRCNNTrainStep",
    "DenseLoss",
    "DenseLosses",
    "FastRCNNTrainStep",
    "FasterRCNNTrainStep",
    "Losses",
    "MaskLoss",
    "MaskLosses",
    "MaskRCNNTrainStep",
    "RPNLoss",
    "RPNLosses",
    "RPNTrainStep",
    "RetinaNetTrainStep",
    "RoILoss",
    "RoILosses",
    "RoIStage",
    "Sampled",
]

"""Training steps, from a batch to its losses: one file for each of models/detectors."""

from detkit.train_steps.cascade_mask_rcnn import CascadeMaskRCNNTrainStep
from detkit.train_steps.cascade_rcnn import CascadeRCNNTrainStep
from detkit.train_steps.fast_rcnn import FastRCNNTrainStep
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.keypoint_rcnn import KeypointRCNNTrainStep
from detkit.train_steps.mask_rcnn import MaskRCNNTrainStep
from detkit.train_steps.retina_net import RetinaNetTrainStep
from detkit.train_steps.rpn import RPNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import TrainStep

__all__ = [
    "CascadeMaskRCNNTrainStep",
    "CascadeRCNNTrainStep",
    "FastRCNNTrainStep",
    "FasterRCNNTrainStep",
    "KeypointRCNNTrainStep",
    "MaskRCNNTrainStep",
    "RPNStage",
    "RPNTrainStep",
    "RetinaNetTrainStep",
    "RoIStage",
    "TrainStep",
]

"""Training steps, from a batch to its losses: one file for each detector and each variant."""

from detkit.train_steps.cascade_mask_rcnn import CascadeMaskRCNNTrainStep
from detkit.train_steps.cascade_rcnn import CascadeRCNNTrainStep
from detkit.train_steps.exact_faster_rcnn import ExactFasterRCNNTrainStep
from detkit.train_steps.fast_rcnn import FastRCNNTrainStep
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.faster_rcnn_negatives import FasterRCNNWithNegativesTrainStep
from detkit.train_steps.keypoint_rcnn import KeypointRCNNTrainStep
from detkit.train_steps.mask_rcnn import MaskRCNNTrainStep
from detkit.train_steps.mask_rcnn_c4 import MaskRCNNC4TrainStep
from detkit.train_steps.rcnn import RCNNTrainStep
from detkit.train_steps.retina_net import RetinaNetTrainStep
from detkit.train_steps.rpn import RPNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import TrainStep

__all__ = [
    "CascadeMaskRCNNTrainStep",
    "CascadeRCNNTrainStep",
    "ExactFasterRCNNTrainStep",
    "FastRCNNTrainStep",
    "FasterRCNNTrainStep",
    "FasterRCNNWithNegativesTrainStep",
    "KeypointRCNNTrainStep",
    "MaskRCNNC4TrainStep",
    "MaskRCNNTrainStep",
    "RCNNTrainStep",
    "RPNStage",
    "RPNTrainStep",
    "RetinaNetTrainStep",
    "RoIStage",
    "TrainStep",
]

"""Training targets of anchors and RoIs, made by blocks of operators without a copy to the host."""

from detkit.targets.assigners import MaxIoUAssigner
from detkit.targets.dense_targets import DenseTargets, PseudoSampler
from detkit.targets.hard_samplers import OHEM, IoUBalancedSampler
from detkit.targets.keypoint_targets import KeypointTargets
from detkit.targets.mask_targets import MaskTargets
from detkit.targets.roi_targets import RoITargets
from detkit.targets.rpn_targets import RPNTargets
from detkit.targets.samplers import RandomSampler

__all__ = [
    "OHEM",
    "DenseTargets",
    "IoUBalancedSampler",
    "KeypointTargets",
    "MaskTargets",
    "MaxIoUAssigner",
    "PseudoSampler",
    "RPNTargets",
    "RandomSampler",
    "RoITargets",
]

"""Losses: of rows and elements (elements, balanced, iou), and of heads (heads, dense)."""

from detkit.losses.balanced import BalancedL1, SigmoidFocal, SoftmaxFocal
from detkit.losses.dense import DenseLoss, KeypointLoss, MaskLoss
from detkit.losses.elements import (
    BINARY,
    BOXES,
    DELTAS,
    L1,
    LABELS,
    CrossEntropy,
    SigmoidBCE,
    SmoothL1,
    binary_cross_entropy,
    compared_by,
    cross_entropy,
)
from detkit.losses.heads import RoILoss, RPNLoss
from detkit.losses.iou import CIoULoss, DIoULoss, GIoULoss, IoULoss

__all__ = [
    "BINARY",
    "BOXES",
    "DELTAS",
    "L1",
    "LABELS",
    "BalancedL1",
    "CIoULoss",
    "CrossEntropy",
    "DIoULoss",
    "DenseLoss",
    "GIoULoss",
    "IoULoss",
    "KeypointLoss",
    "MaskLoss",
    "RPNLoss",
    "RoILoss",
    "SigmoidBCE",
    "SigmoidFocal",
    "SmoothL1",
    "SoftmaxFocal",
    "binary_cross_entropy",
    "compared_by",
    "cross_entropy",
]

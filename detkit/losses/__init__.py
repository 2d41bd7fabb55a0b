"""The losses: those of rows and elements (elements.py), and what each head is trained with
(heads.py)."""

from detkit.losses.elements import (
    BINARY,
    BOXES,
    DELTAS,
    L1,
    LABELS,
    BalancedL1,
    CIoULoss,
    CrossEntropy,
    DIoULoss,
    GIoULoss,
    IoULoss,
    SigmoidBCE,
    SigmoidFocal,
    SmoothL1,
    binary_cross_entropy,
    compared_by,
    cross_entropy,
)
from detkit.losses.heads import DenseLoss, MaskLoss, RoILoss, RPNLoss

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
    "MaskLoss",
    "RPNLoss",
    "RoILoss",
    "SigmoidBCE",
    "SigmoidFocal",
    "SmoothL1",
    "binary_cross_entropy",
    "compared_by",
    "cross_entropy",
]

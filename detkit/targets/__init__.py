"""What training asks of each anchor and each RoI. Blocks of operators: no copy to the host."""

from detkit.targets.assigners import MaxIoUAssigner
from detkit.targets.roi_targets import RoITargets
from detkit.targets.rpn_targets import RPNTargets
from detkit.targets.samplers import RandomSampler

__all__ = ["MaxIoUAssigner", "RPNTargets", "RandomSampler", "RoITargets"]

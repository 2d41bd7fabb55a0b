"""Training: the loop, its hooks, and what makes a run resumable."""

from detkit.runner.intervals import Interval
from detkit.runner.loop import Runner
from detkit.runner.optimizer import Optimizer
from detkit.runner.options import TrainOptions
from detkit.runner.schedules import CosineSchedule, Position, StepSchedule
from detkit.runner.time_budget import TimeBudget

__all__ = [
    "CosineSchedule",
    "Interval",
    "Optimizer",
    "Position",
    "Runner",
    "StepSchedule",
    "TimeBudget",
    "TrainOptions",
]

"""Training: the loop, its hooks, and what makes a run resumable."""

from detkit.runner.intervals import Interval
from detkit.runner.loop import Runner
from detkit.runner.optimizer import Optimizer
from detkit.runner.options import TrainOptions
from detkit.runner.schedules import CosineSchedule, Position, StepSchedule
from detkit.runner.time_budget import TimeBudget
from detkit.runner.trackers import ClearML, MLflow, TensorBoard, WandB

__all__ = [
    "ClearML",
    "CosineSchedule",
    "Interval",
    "MLflow",
    "Optimizer",
    "Position",
    "Runner",
    "StepSchedule",
    "TensorBoard",
    "TimeBudget",
    "TrainOptions",
    "WandB",
]

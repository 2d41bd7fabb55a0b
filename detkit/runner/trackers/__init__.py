"""Hooks that send a run's numbers and pictures to a service: one for each service."""

from detkit.runner.trackers.clearml import ClearML
from detkit.runner.trackers.mlflow import MLflow
from detkit.runner.trackers.tensorboard import TensorBoard
from detkit.runner.trackers.tracker import Tracker
from detkit.runner.trackers.wandb import WandB

__all__ = ["ClearML", "MLflow", "TensorBoard", "Tracker", "WandB"]

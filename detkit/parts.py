"""Importing this registers every part that detkit ships; plugins add theirs."""

from detkit import evaluate, losses, models, runner, targets, train_steps  # noqa: F401
from detkit.data import coco, shapes, transforms, voc  # noqa: F401  (the package itself is lazy)

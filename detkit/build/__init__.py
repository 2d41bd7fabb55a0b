"""Assembly: a config -> objects. Only this package knows both the config and the parts.

Importing this package registers every part that detkit ships.
"""

from detkit import parts  # noqa: F401
from detkit.build.data import (
    build_dataset,
    build_evaluator,
    build_loader,
    build_proposals,
    build_transforms,
    build_tta,
    pad_multiple_of,
)
from detkit.build.model import build_model, choose_operators
from detkit.build.sections import SECTIONS, check_parts, check_sections, open_config
from detkit.build.train_step import build_train_step

__all__ = [
    "SECTIONS",
    "build_dataset",
    "build_evaluator",
    "build_loader",
    "build_model",
    "build_proposals",
    "build_train_step",
    "build_transforms",
    "build_tta",
    "check_parts",
    "check_sections",
    "choose_operators",
    "open_config",
    "pad_multiple_of",
]

"""A config -> objects. With build_model.py and build_train_step.py, the one place that knows both.

Importing this module registers every part that detkit ships.
"""

from typing import List

from detkit import data, evaluate, models, runner, targets  # noqa: F401  (their parts register themselves)
from detkit.build_model import build_model, detector_of
from detkit.build_train_step import build_train_step, train_step_of
from detkit.config import check_keys, place, require, section, without
from detkit.data import Loader
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, EVALUATORS, TRANSFORMS, construct

__all__ = [
    "build_dataset",
    "build_evaluator",
    "build_loader",
    "build_model",
    "build_train_step",
    "build_transforms",
    "check_parts",
    "check_sections",
    "pad_multiple_of",
]

SECTIONS = ("seed", "model", "train_step", "data", "train", "evaluate", "plugins", "ops")
DATA_KEYS = ("train", "val", "train_transforms", "val_transforms", "pad_multiple", "workers")


def check_sections(config):
    """Refuse a top-level key that nothing reads, and a config without what everything needs."""
    check_keys(config, SECTIONS)
    for key in ("model", "data"):
        require(config, key, dict)
    check_keys(config["data"], DATA_KEYS)


def check_parts(config):
    """Refuse a part that the detector or its training step does not have; plugins are imported."""
    step = train_step_of(detector_of(config))
    check_keys(section(config, "train_step"), step.PARTS)


def build_dataset(config, split):
    """The dataset ``data.train`` or ``data.val``."""
    node = require(config["data"], split, dict)
    try:
        return DATASETS.build(node)
    except DataError as error:
        raise DataError(f"{place(node)}: {error}") from error


def build_transforms(config, split):
    """The transforms of the images of ``data.train`` or ``data.val``, in order."""
    nodes = require(config["data"], f"{split}_transforms", List[dict])
    transforms = [TRANSFORMS.build(node) for node in nodes]
    for node, transform in zip(nodes, transforms):
        if split == "val" and getattr(transform, "mirrors", False):
            raise ConfigError(
                f"{place(node)}: {node['type']} mirrors the image, and detections are not mirrored "
                "back; it belongs in data.train_transforms alone"
            )
    return transforms


def build_loader(config, split, dataset, batch_size):
    """The Loader of ``dataset``; that of the training images is shuffled by the seed.

    It has masks where the detector is trained on them.
    """
    return construct(
        Loader,
        _only(config["data"], "pad_multiple", "workers"),
        dataset=dataset,
        transforms=build_transforms(config, split),
        batch_size=batch_size,
        seed=config.get("seed", 0),
        shuffle=split == "train",
        masks=split == "train" and "mask_head" in detector_of(config).PARTS,
    )


def pad_multiple_of(config):
    """What the sides of a batch are multiples of."""
    return config["data"].get("pad_multiple", 32)


def build_evaluator(config):
    """What turns detections into numbers."""
    return EVALUATORS.build(require(config, "evaluate", dict))


def _only(node, *keys):
    return without(node, *(key for key in node if key not in keys))

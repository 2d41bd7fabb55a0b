"""A config -> objects. With build_model.py and build_train_step.py, the one place that knows both.

Importing this module registers every part that detkit ships.
"""

from typing import List

from detkit import data, evaluate, models, runner, targets  # noqa: F401  (their parts register themselves)
from detkit.build_model import build_model, detector_of
from detkit.build_train_step import build_train_step, train_step_of
from detkit.config import check_keys, place, require, section, without
from detkit.data import Batch, Loader, OneClass, load_proposals
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
PROPOSALS = ("train_proposals", "val_proposals")
TRANSFORMED = ("train_transforms", "val_transforms")
DATA_KEYS = ("train", "val", *PROPOSALS, *TRANSFORMED, "pad_multiple", "workers", "group_aspect")


def check_sections(config):
    """Refuse a top-level key that nothing reads, and a config without what everything needs."""
    check_keys(config, SECTIONS)
    for key in ("model", "data"):
        require(config, key, dict)
    check_keys(config["data"], DATA_KEYS)


def check_parts(config):
    """Refuse a part that the detector or its training step does not have; plugins are imported.

    Proposals, too, where the detector makes its own.
    """
    detector = detector_of(config)
    check_keys(section(config, "train_step"), train_step_of(detector).PARTS)
    given = [key for key in PROPOSALS if key in config["data"]]
    if given and "proposals" not in detector.INPUTS:
        raise ConfigError(
            f"{place(config['data'], given[0])}: the detector {config['model']['type']!r} takes no "
            "proposals; remove the key"
        )


def build_dataset(config, split):
    """The dataset ``data.train`` or ``data.val``, with the classes that the detector knows."""
    node = require(config["data"], split, dict)
    try:
        dataset = DATASETS.build(node)
    except DataError as error:
        raise DataError(f"{place(node)}: {error}") from error
    return dataset if detector_of(config).TELLS_CLASSES else OneClass(dataset)


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


def build_loader(config, split, dataset, batch_size, inputs=None):
    """The Loader of ``dataset``, which is the ``split`` "train" or "val".

    inputs: TrainStep.INPUTS, for training: with ``data.train_transforms``, shuffled by the seed,
        and with the masks and fields that the step takes. None: as the images are detected in, in
        their order.
    """
    training = inputs is not None
    return construct(
        Loader,
        _only(config["data"], "pad_multiple", "workers", "group_aspect"),
        dataset=dataset,
        transforms=build_transforms(config, "train" if training else "val"),
        batch_size=batch_size,
        seed=config.get("seed", 0),
        shuffle=training,
        masks=training and "masks" in inputs,
        fields=[name for name in inputs or () if name not in Batch._fields],
        proposals=_proposals(config, split, dataset),
    )


def _proposals(config, split, dataset):
    """What ``data.train_proposals`` or ``data.val_proposals`` names; None if it is not needed."""
    if "proposals" not in detector_of(config).INPUTS:
        return None
    node = require(config["data"], f"{split}_proposals", dict)
    try:
        return construct(load_proposals, node, dataset=dataset)
    except DataError as error:
        raise DataError(f"{place(node)}: {error}") from error


def pad_multiple_of(config):
    """What the sides of a batch are multiples of."""
    return config["data"].get("pad_multiple", 32)


def build_evaluator(config):
    """What turns detections into numbers."""
    return EVALUATORS.build(require(config, "evaluate", dict))


def _only(node, *keys):
    return without(node, *(key for key in node if key not in keys))

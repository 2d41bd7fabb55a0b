"""The sections ``data`` and ``evaluate`` of a config -> datasets, batches and an evaluator."""

from typing import List

from detkit.build.model import detector_of
from detkit.config import place, require, without
from detkit.data import Batch, Loader, OneClass, load_proposals
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, EVALUATORS, TRANSFORMS, construct

PROPOSALS = ("train_proposals", "val_proposals")
TRANSFORMED = ("train_transforms", "val_transforms")
DATA_KEYS = ("train", "val", *PROPOSALS, *TRANSFORMED, "pad_multiple", "workers", "group_aspect")


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
        proposals=build_proposals(config, split, dataset),
    )


def build_proposals(config, split, dataset):
    """{image_id: boxes (R, 4)} of ``data.train_proposals`` or ``data.val_proposals``.

    None for a detector that makes its own.
    """
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

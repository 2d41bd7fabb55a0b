"""A config -> objects. With build_model.py, the one place that knows both.

Importing this module registers every part that detkit ships.
"""

from typing import List

from detkit import data, evaluate, models, runner, targets  # noqa: F401  (their parts register themselves)
from detkit.build_model import MASK_PARTS, MODEL_PARTS, build_model
from detkit.config import check_keys, place, require, section, without
from detkit.data import Loader
from detkit.errors import ConfigError, DataError
from detkit.mask_train_step import MaskLoss, MaskRCNNTrainStep
from detkit.models import MaskRCNN, Proposals
from detkit.registry import (
    ASSIGNERS,
    DATASETS,
    EVALUATORS,
    LOSSES,
    SAMPLERS,
    TRANSFORMS,
    construct,
)
from detkit.targets import MaskTargets, RoITargets, RPNTargets
from detkit.train_step import FasterRCNNTrainStep, RoILoss, RPNLoss

__all__ = [
    "build_dataset",
    "build_evaluator",
    "build_loader",
    "build_model",
    "build_train_step",
    "build_transforms",
    "check_sections",
    "pad_multiple_of",
]

SECTIONS = ("seed", "model", "train_step", "data", "train", "evaluate", "plugins", "ops")
STEP_PARTS = ("rpn_targets", "proposals", "roi_targets", "rpn_loss", "roi_loss")
MASK_STEP_PARTS = ("mask_targets", "mask_loss")  # of a MaskRCNN
DATA_KEYS = ("train", "val", "train_transforms", "val_transforms", "pad_multiple", "workers")


def check_sections(config):
    """Refuse a top-level key that nothing reads, and a config without what everything needs."""
    check_keys(config, SECTIONS)
    for key in ("model", "data"):
        require(config, key, dict)
    check_keys(config["model"], MODEL_PARTS + MASK_PARTS)
    check_keys(config["data"], DATA_KEYS)
    check_keys(section(config, "train_step"), STEP_PARTS + MASK_STEP_PARTS)


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
        masks=split == "train" and "mask_head" in config["model"],
    )


def pad_multiple_of(config):
    """What the sides of a batch are multiples of."""
    return config["data"].get("pad_multiple", 32)


def build_evaluator(config):
    """What turns detections into numbers."""
    return EVALUATORS.build(require(config, "evaluate", dict))


def build_train_step(config, model, num_classes):
    """The training step of ``train_step``, hybridized."""
    node = section(config, "train_step")
    has_masks = isinstance(model, MaskRCNN)
    check_keys(node, STEP_PARTS + (MASK_STEP_PARTS if has_masks else ()))
    proposals = section(node, "proposals")
    rpn_weights, roi_weights = model.proposals.box_weights, model.postprocess.box_weights
    roi_targets, roi_parts = _assigner_and_sampler(section(node, "roi_targets"))
    rpn_targets, rpn_parts = _assigner_and_sampler(section(node, "rpn_targets"))
    masks = _mask_parts(node, model, roi_parts["sampler"]) if has_masks else {}
    step = (MaskRCNNTrainStep if has_masks else FasterRCNNTrainStep)(
        model,
        rpn_targets=construct(RPNTargets, rpn_targets, box_weights=rpn_weights, **rpn_parts),
        proposals=construct(Proposals, proposals, box_weights=rpn_weights),
        roi_targets=construct(
            RoITargets,
            roi_targets,
            box_weights=roi_weights,
            size=roi_parts["sampler"].size,
            **roi_parts,
        ),
        rpn_loss=_loss(RPNLoss, section(node, "rpn_loss"), box_weights=rpn_weights),
        roi_loss=_loss(
            RoILoss, section(node, "roi_loss"), box_weights=roi_weights, num_classes=num_classes
        ),
        **masks,
    )
    step.hybridize()
    return step


def _mask_parts(node, model, sampler):
    """What a MaskRCNNTrainStep has beyond a FasterRCNNTrainStep."""
    return {
        "mask_targets": construct(
            MaskTargets,
            section(node, "mask_targets"),
            size=model.mask_head.size,
            rois=getattr(sampler, "max_positive", sampler.size),
        ),
        "mask_loss": construct(MaskLoss, section(node, "mask_loss")),
    }


def _assigner_and_sampler(node):
    """The rest of ``node``, and its assigner and sampler."""
    parts = {
        "assigner": ASSIGNERS.build(require(node, "assigner", dict)),
        "sampler": SAMPLERS.build(require(node, "sampler", dict)),
    }
    return without(node, *parts), parts


def _loss(target, node, **derived):
    box = LOSSES.build(require(node, "box", dict))
    class_loss = LOSSES.build(require(node, "class", dict)) if "class" in node else None
    rest = without(node, "box", "class")
    return construct(target, rest, box=box, class_loss=class_loss, **derived)


def _only(node, *keys):
    return without(node, *(key for key in node if key not in keys))

"""A config -> objects. The one place that knows both; here channels, strides, classes are wired.

Importing this module registers every part that detkit ships.
"""

import copy
import logging
from typing import List

import mxnet as mx

from detkit import data, evaluate, models, runner, targets  # noqa: F401  (their parts register themselves)
from detkit.config import Node, check_keys, join_path, place, require
from detkit.data import Loader
from detkit.errors import ConfigError, DataError, WeightsError
from detkit.models import Normalize, Postprocess, Proposals
from detkit.ops import backend
from detkit.registry import (
    ANCHORS,
    ASSIGNERS,
    BACKBONES,
    DATASETS,
    DETECTORS,
    EVALUATORS,
    HEADS,
    LOSSES,
    NECKS,
    ROI_EXTRACTORS,
    SAMPLERS,
    TRANSFORMS,
    construct,
)
from detkit.targets import RoITargets, RPNTargets
from detkit.train_step import FasterRCNNTrainStep, RoILoss, RPNLoss
from detkit.weights import find_weights, load_weights, normalisation_of, read_pth

log = logging.getLogger(__name__)

SECTIONS = ("seed", "model", "train_step", "data", "train", "evaluate", "plugins", "ops")
MODEL_PARTS = (
    "type",
    "normalize",
    "backbone",
    "neck",
    "anchors",
    "rpn_head",
    "proposals",
    "roi_extractor",
    "roi_head",
    "postprocess",
)
STEP_PARTS = ("rpn_targets", "proposals", "roi_targets", "rpn_loss", "roi_loss")
DATA_KEYS = ("train", "val", "train_transforms", "val_transforms", "pad_multiple", "workers")


SETTLING_SIDE = 256  # pixels; enough for a map of every stride in use


def check_sections(config):
    """Refuse a top-level key that nothing reads, and a config without what everything needs."""
    check_keys(config, SECTIONS)
    for key in ("model", "data"):
        require(config, key, dict)
    check_keys(config["model"], MODEL_PARTS)
    check_keys(config["data"], DATA_KEYS)
    check_keys(section(config, "train_step"), STEP_PARTS)


def section(node, key):
    """``node[key]``, or an empty mapping in its place: every argument then has its default."""
    if node.get(key) is None:
        return Node(join_path(node.path, key), node.where(key))
    return require(node, key, dict)


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
    """The Loader of ``dataset``; that of the training images is shuffled by the seed."""
    return construct(
        Loader,
        _only(config["data"], "pad_multiple", "workers"),
        dataset=dataset,
        transforms=build_transforms(config, split),
        batch_size=batch_size,
        seed=config.get("seed", 0),
        shuffle=split == "train",
    )


def pad_multiple_of(config):
    """What the sides of a batch are multiples of."""
    return config["data"].get("pad_multiple", 32)


def build_evaluator(config):
    """What turns detections into numbers."""
    return EVALUATORS.build(require(config, "evaluate", dict))


def build_model(config, class_names, ctx, pretrained=True):
    """The detector of ``model``, initialised from ``seed``, in ``ctx``, hybridized.

    ``pretrained`` False leaves the files of weights alone: a checkpoint will be loaded instead.
    """
    node = require(config, "model", dict)
    check_keys(node, MODEL_PARTS)
    operators = config.get("ops") or backend.AUTO
    backend.choose(operators, place(config, "ops"), on_gpu=ctx.device_type == "gpu")
    detector = DETECTORS.get(require(node, "type", str), place(node, "type"))
    model = detector(**_model_parts(node, len(class_names)))
    mx.random.seed(config.get("seed", 0))
    model.initialize(ctx=ctx)
    if pretrained:
        _load_pretrained(model.backbone, node["backbone"], model.normalize)
        _load_pretrained(model.roi_head, node["roi_head"], model.normalize)
    model.hybridize()
    _settle_shapes(model, ctx)
    return model


def _settle_shapes(model, ctx):
    """Run the network once where a layer left its input's width to be found out.

    A plugin need not give in_channels, but optimizer and checkpoints need to know every shape.
    """
    if any(0 in parameter.shape for parameter in model.collect_params().values()):
        side = SETTLING_SIDE
        sizes = mx.nd.array([[side, side]], ctx=ctx)
        model(mx.nd.zeros((1, 3, side, side), ctx=ctx), sizes)


def _model_parts(node, num_classes):
    """{name: part}: each gets from the parts before it what follows from them."""
    backbone = BACKBONES.build(_without(require(node, "backbone", dict), "pretrained"))
    neck, channels, strides = _neck(node, backbone)
    anchors = ANCHORS.build(require(node, "anchors", dict), strides=strides)
    rpn_head = HEADS.build(
        require(node, "rpn_head", dict), in_channels=channels, num_anchors=anchors.per_cell
    )
    roi_extractor = ROI_EXTRACTORS.build(
        require(node, "roi_extractor", dict), strides=strides, channels=channels
    )
    roi_head = HEADS.build(
        _without(require(node, "roi_head", dict), "pretrained"),
        in_channels=roi_extractor.channels,
        in_size=roi_extractor.size,
        num_classes=num_classes,
    )
    return {
        "normalize": construct(Normalize, section(node, "normalize")),
        "backbone": backbone,
        "neck": neck,
        "anchors": anchors,
        "rpn_head": rpn_head,
        "proposals": construct(Proposals, section(node, "proposals")),
        "roi_extractor": roi_extractor,
        "roi_head": roi_head,
        "postprocess": construct(Postprocess, section(node, "postprocess")),
    }


def build_train_step(config, model):
    """The training step of ``train_step``, hybridized."""
    node = section(config, "train_step")
    check_keys(node, STEP_PARTS)
    proposals = section(node, "proposals")
    roi_targets, roi_parts = _assigner_and_sampler(section(node, "roi_targets"))
    rpn_targets, rpn_parts = _assigner_and_sampler(section(node, "rpn_targets"))
    step = FasterRCNNTrainStep(
        model,
        rpn_targets=construct(
            RPNTargets, rpn_targets, box_weights=model.proposals.box_weights, **rpn_parts
        ),
        proposals=construct(Proposals, proposals, box_weights=model.proposals.box_weights),
        roi_targets=construct(
            RoITargets,
            roi_targets,
            box_weights=model.postprocess.box_weights,
            size=roi_parts["sampler"].size,
            **roi_parts,
        ),
        rpn_loss=_loss(RPNLoss, section(node, "rpn_loss")),
        roi_loss=_loss(RoILoss, section(node, "roi_loss")),
    )
    step.hybridize()
    return step


def _assigner_and_sampler(node):
    """The rest of ``node``, and its assigner and sampler."""
    parts = {
        "assigner": ASSIGNERS.build(require(node, "assigner", dict)),
        "sampler": SAMPLERS.build(require(node, "sampler", dict)),
    }
    return _without(node, *parts), parts


def _loss(target, node):
    return construct(target, _without(node, "box"), box=LOSSES.build(require(node, "box", dict)))


def _only(node, *keys):
    return _without(node, *(key for key in node if key not in keys))


def _without(node, *keys):
    rest = copy.copy(node)
    for key in keys:
        rest.pop(key, None)
    return rest


def _neck(node, backbone):
    """The neck that ``node`` names or None, the channels and the strides of the maps it gives."""
    channels, strides = (
        _of_levels(backbone, attribute, node["backbone"]) for attribute in ("channels", "strides")
    )
    if len(channels) != len(strides):
        raise ConfigError(
            f"{place(node['backbone'], 'type')}: the backbone {node['backbone']['type']!r} names "
            f"{len(channels)} channels and {len(strides)} strides: one of each for every map"
        )
    if node.get("neck") is not None:
        neck = NECKS.build(require(node, "neck", dict), in_channels=channels, strides=strides)
        return neck, neck.channels, tuple(neck.strides)
    if len(set(channels)) > 1:
        raise ConfigError(
            f"{place(node, 'backbone')}: the backbone's maps have {list(channels)} channels, and "
            "the heads need the same number everywhere: choose one of the maps, or add a neck"
        )
    return None, channels[0], strides


def _of_levels(backbone, attribute, node):
    """A whole number of each of the backbone's maps; one alone stands for a single map."""
    singular = attribute.rstrip("s") if attribute == "strides" else attribute
    value = getattr(backbone, attribute, getattr(backbone, singular, None))
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values or not all(isinstance(number, int) for number in values):
        raise ConfigError(
            f"{place(node, 'type')}: the backbone {node['type']!r} must have an attribute "
            f"{singular!r}, a whole number (or {attribute!r}, one for each map it gives): the next "
            "parts are built from it"
        )
    return tuple(values)


def _load_pretrained(block, node, normalize):
    """Put the weights that ``node`` names under ``pretrained`` into ``block``."""
    weights = node.get("pretrained")
    if weights is None:
        return
    where = place(node, "pretrained")
    if not isinstance(weights, str):
        raise ConfigError(f"{where}: expected a name, a path, a URL or null, found {weights!r}")
    expected = normalisation_of(weights)
    if expected and tuple(expected) != normalize.mean_std_order:
        raise ConfigError(
            f"{where}: {weights!r} was trained with mean {expected.mean}, std {expected.std}, "
            f"order {expected.order}; model.normalize says {normalize.mean_std_order}: use theirs"
        )
    # A part that takes only some of its weights from the file says which, and by what names.
    loaded, names = block.pretrained_part() if hasattr(block, "pretrained_part") else (block, None)
    path = find_weights(weights, where=where)
    try:
        state = read_pth(path)
    except WeightsError as error:  # it begins with the path
        raise WeightsError(f"{where}: {error}") from error
    try:
        unused = load_weights(loaded, state, names)
    except WeightsError as error:
        raise WeightsError(f"{where}: {path}: {error}") from error
    log.info("%s: read %s; names not used: %s", node.path, path, ", ".join(unused) or "none")

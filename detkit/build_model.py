"""The ``model`` section of a config -> a detector; here channels, strides, classes are wired."""

import logging

import mxnet as mx

from detkit.config import check_keys, place, require, section, without
from detkit.errors import ConfigError, WeightsError
from detkit.models import MaskRCNN, Normalize, Postprocess, Proposals
from detkit.ops import backend
from detkit.registry import (
    ANCHORS,
    BACKBONES,
    DETECTORS,
    HEADS,
    NECKS,
    ROI_EXTRACTORS,
    construct,
)
from detkit.weights import find_weights, load_weights, normalisation_of, read_pth

log = logging.getLogger(__name__)

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
MASK_PARTS = ("mask_extractor", "mask_head")  # of a MaskRCNN

SETTLING_SIDE = 256  # pixels; enough for a map of every stride in use


def build_model(config, class_names, ctx, pretrained=True):
    """The detector of ``model``, initialised from ``seed``, in ``ctx``, hybridized.

    ``pretrained`` False leaves the files of weights alone: a checkpoint will be loaded instead.
    """
    node = require(config, "model", dict)
    operators = config.get("ops") or backend.AUTO
    backend.choose(operators, place(config, "ops"), on_gpu=ctx.device_type == "gpu")
    detector = DETECTORS.get(require(node, "type", str), place(node, "type"))
    has_masks = issubclass(detector, MaskRCNN)
    check_keys(node, MODEL_PARTS + (MASK_PARTS if has_masks else ()))
    model = detector(**_model_parts(node, len(class_names), has_masks))
    mx.random.seed(config.get("seed", 0))
    model.initialize(ctx=ctx)
    if pretrained:
        _load_pretrained(model.backbone, node["backbone"], model.normalize)
        _load_pretrained(model.roi_head, node["roi_head"], model.normalize)
    model.hybridize()
    _settle_shapes(model, ctx)
    return model


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


def _settle_shapes(model, ctx):
    """Run the network once where a layer left its input's width to be found out.

    A plugin need not give in_channels, but optimizer and checkpoints need to know every shape.
    """
    if any(0 in parameter.shape for parameter in model.collect_params().values()):
        side = SETTLING_SIDE
        sizes = mx.nd.array([[side, side]], ctx=ctx)
        model(mx.nd.zeros((1, 3, side, side), ctx=ctx), sizes)


def _model_parts(node, num_classes, has_masks):
    """{name: part}: each gets from the parts before it what follows from them."""
    backbone = BACKBONES.build(without(require(node, "backbone", dict), "pretrained"))
    neck, channels, strides = _neck(node, backbone)
    anchors = ANCHORS.build(require(node, "anchors", dict), strides=strides)
    rpn_head = HEADS.build(
        require(node, "rpn_head", dict), in_channels=channels, num_anchors=anchors.per_cell
    )
    roi_extractor = ROI_EXTRACTORS.build(
        require(node, "roi_extractor", dict), strides=strides, channels=channels
    )
    roi_head = HEADS.build(
        without(require(node, "roi_head", dict), "pretrained"),
        in_channels=roi_extractor.channels,
        in_size=roi_extractor.size,
        num_classes=num_classes,
    )
    masks = _mask_parts(node, channels, strides, num_classes) if has_masks else {}
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
        **masks,
    }


def _mask_parts(node, channels, strides, num_classes):
    """What a MaskRCNN has beyond a FasterRCNN."""
    extractor = ROI_EXTRACTORS.build(
        require(node, "mask_extractor", dict), strides=strides, channels=channels
    )
    head = HEADS.build(
        require(node, "mask_head", dict),
        in_channels=extractor.channels,
        in_size=extractor.size,
        num_classes=num_classes,
    )
    return {"mask_extractor": extractor, "mask_head": head}


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

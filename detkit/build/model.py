"""The ``model`` section of a config -> a detector; here channels, strides, classes are wired."""

import logging
from typing import List

import mxnet as mx
from mxnet.gluon import nn

from detkit.config import check_keys, place, require, section, without
from detkit.errors import ConfigError, WeightsError
from detkit.models import Network
from detkit.ops import backend
from detkit.registry import DETECTORS, Registry, construct
from detkit.weights import find_weights, load_weights, normalisation_of, read_weights

log = logging.getLogger(__name__)

EXAMPLE = {"channels": 64, "strides": 16}  # of the maps of a small backbone
SETTLING_SIDE = 256  # pixels; enough for a map of every stride in use


def build_model(config, class_names, ctx, pretrained=True):
    """The detector of ``model``, initialised from ``seed``, in ``ctx``, hybridized.

    ``pretrained`` False leaves the files of weights alone: a checkpoint will be loaded instead.
    """
    node = require(config, "model", dict)
    operators = config.get("ops") or backend.AUTO
    backend.choose(operators, place(config, "ops"), on_gpu=ctx.device_type == "gpu")
    detector = detector_of(config)
    parts = _Wiring(node, detector, len(class_names)).parts
    model = construct(detector, without(node, *node), **parts)
    mx.random.seed(config.get("seed", 0))
    model.initialize(ctx=ctx)
    if pretrained:
        for block, part in _built_parts(model, node):
            _load_pretrained(block, part, model.normalize)
    model.hybridize()
    _settle_shapes(model, ctx)
    return model


def detector_of(config):
    """The class that ``model.type`` names; ConfigError if ``model`` has keys that it does not."""
    node = require(config, "model", dict)
    detector = DETECTORS.get(require(node, "type", str), place(node, "type"))
    if not issubclass(detector, Network):
        raise ConfigError(
            f"{place(node, 'type')}: the detector {node['type']!r} is no subclass of "
            "detkit.models.Network, whose PARTS say what it is built of"
        )
    check_keys(node, ("type", *detector.PARTS))
    return detector


class _Wiring:
    """The parts of a detector, made in their order: each gets what follows from those before it.

    node: the section ``model``. detector: the class, whose PARTS are made.
    """

    def __init__(self, node, detector, num_classes):
        self._node, self._num_classes = node, num_classes
        self._channels, self._strides = None, None  # of the maps
        self.parts = {}
        for name, source in detector.PARTS.items():
            self.parts[name] = self._part(name, source)
            if name == "backbone":
                self._channels, self._strides = levels_of(self.parts[name], node[name])
            elif name == "neck":
                self._pass_neck(self.parts[name])

    def _part(self, name, source):
        if isinstance(source, list):  # the heads of a cascade
            nodes, (registry,) = require(self._node, name, List[dict]), source
            parts = nn.HybridSequential(prefix=f"{name}_")
            parts.add(*(_build(registry, node, self._derived(name)) for node in nodes))
            return parts
        if not isinstance(source, Registry):
            return construct(source, section(self._node, name))
        if name == "neck" and self._node.get(name) is None:
            return None
        has_default = source.default is not None
        node = section(self._node, name) if has_default else require(self._node, name, dict)
        return _build(source, node, {} if has_default else self._derived(name))

    def _derived(self, name):
        """The arguments of a part that follow from the parts before it."""
        task, _, kind = name.rpartition("_")  # mask_extractor and mask_head, for example
        if name == "backbone":
            return {}
        if name == "neck":
            return {"in_channels": self._channels, "strides": self._strides}
        if name == "anchors":
            return {"strides": self._strides}
        if kind == "extractor":
            return {"strides": self._strides, "channels": self._channels}
        extractor = self.parts.get(f"{task}_extractor")
        if extractor:
            size = {"in_channels": extractor.channels, "in_size": extractor.size}
            return {**size, "num_classes": self._num_classes}
        dense = {"in_channels": self._channels, "num_anchors": self.parts["anchors"].per_cell}
        return dense if name == "rpn_head" else {**dense, "num_classes": self._num_classes}

    def _pass_neck(self, neck):
        """The heads look at what the neck gives, or at the backbone's maps where they can."""
        if neck is not None:
            self._channels, self._strides = neck.channels, tuple(neck.strides)
        elif len(set(self._channels)) > 1:
            raise ConfigError(
                f"{place(self._node, 'backbone')}: the backbone's maps have "
                f"{list(self._channels)} channels, and the heads need the same number everywhere: "
                "choose one of the maps, or add a neck"
            )
        else:
            self._channels = self._channels[0]


def _build(registry, node, derived):
    return registry.build(without(node, "pretrained"), **derived)


def levels_of(backbone, node):
    """The channels and the strides of the maps that ``backbone``, built of ``node``, gives."""
    channels, strides = (_numbers(backbone, name, node) for name in ("channels", "strides"))
    if len(channels) != len(strides):
        raise ConfigError(
            f"{place(node, 'type')}: the backbone {node['type']!r} names {len(channels)} channels "
            f"and {len(strides)} strides: one of each for every map"
        )
    return channels, strides


def _numbers(backbone, attribute, node):
    """The attribute ``channels`` or ``strides`` of a backbone: a whole number for each map."""
    numbers = getattr(backbone, attribute, None)
    listed = isinstance(numbers, (list, tuple)) and numbers
    if not listed or not all(isinstance(number, int) for number in numbers):
        shown = f"{attribute} = {numbers!r}" if hasattr(backbone, attribute) else "none"
        raise ConfigError(
            f"{place(node, 'type')}: the backbone {node['type']!r}: expected an attribute "
            f"{attribute!r}, a tuple with a whole number for each map, found {shown}; of one map "
            f"write, for example, {attribute} = ({EXAMPLE[attribute]},): the next parts are built "
            "from it"
        )
    return tuple(numbers)


def _built_parts(model, node):
    """(block, its section) of every part that a config names, and of each in a list of them."""
    for name in model.PARTS:
        part = node.get(name)
        if isinstance(part, list):
            yield from zip(getattr(model, name), part)
        elif part is not None:
            yield getattr(model, name), part


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
        state = read_weights(path)
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
        inputs = {
            "images": mx.nd.zeros((1, 3, side, side), ctx=ctx),
            "sizes": mx.nd.array([[side, side]], ctx=ctx),
            "proposals": mx.nd.array([[[0, 0, side, side]]], ctx=ctx),
            "proposal_scores": mx.nd.ones((1, 1), ctx=ctx),
        }
        model(*(inputs[name] for name in model.INPUTS))

"""The ``model`` section of a config -> a detector; channels, strides and classes are derived."""

import logging
import math
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, Union

import mxnet as mx
from mxnet.gluon import Block, HybridBlock, nn

from detkit.build.maps import IMAGE_CHANNELS, levels_of, side_of_map
from detkit.build.pretrained import load_pretrained
from detkit.config import Config, check_keys, place, require, section, without
from detkit.config.yaml import Node
from detkit.construct import construct
from detkit.errors import ConfigError
from detkit.models import Network
from detkit.ops import backend
from detkit.registry import DETECTORS, Registry
from detkit.typing import Context

log = logging.getLogger(__name__)

MOST_ELEMENTS = 2**31 - 1  # of an array; MXNet counts them in 32 bits
SETTLING_SIDE = 256  # pixels; enough for a map of every stride that detectors use


def build_model(
    config: Config,
    class_names: Sequence[str],
    ctx: Union[Context, List[Context]],
    pretrained: bool = True,
) -> Network:
    """Returns the detector of ``model``, initialised from ``seed``, on ``ctx``, hybridized.

    ctx: a device, or several of them, which all have the same weights.
    pretrained: whether to read the files of pretrained weights; False if a checkpoint is loaded
        afterwards.

    Raises ConfigError and WeightsError with the place in the config.
    """
    node = require(config, "model", dict)
    detector = detector_of(config)
    parts = _Wiring(node, detector, len(class_names)).parts
    model = construct(detector, without(node, *node), **parts)
    _check_sizes(parts, node)
    _check_statistics(parts.get("postprocess"), node, len(class_names))
    mx.random.seed(config.get("seed", 0))
    model.initialize(ctx=ctx)
    if pretrained:
        for block, part in _built_parts(model, node):
            load_pretrained(block, part, model.normalize)
    model.hybridize()
    _settle_shapes(model, ctx[0] if isinstance(ctx, list) else ctx)
    return model


def choose_operators(config: Config, ctx: Context) -> None:
    """Settles the operators of this process for ``ctx`` by ``ops`` of the config.

    Whoever owns the process calls it before ``build_model``. Raises ConfigError, see
    detkit.ops.backend.
    """
    name = config.get("ops") or backend.AUTO
    backend.choose(name, place(config, "ops"), on_gpu=ctx.device_type == "gpu")


def detector_of(config: Config) -> Type[Network]:
    """Returns the class that ``model.type`` names.

    Raises ConfigError if it is no detector, or if ``model`` has a key that it has not.
    """
    node = require(config, "model", dict)
    detector: Any = DETECTORS.get(require(node, "type", str), place(node, "type"))
    if not issubclass(detector, Network):
        raise ConfigError(
            f"{place(node, 'type')}: expected a subclass of detkit.models.Network, whose PARTS "
            f"list what a detector is built of, found {node['type']!r}"
        )
    check_keys(node, ("type", *detector.PARTS))
    return detector


class _Wiring:
    """The parts of a detector, built in their order; arguments follow from the parts before.

    node: the section ``model``. detector: the class, whose PARTS are built.
    """

    def __init__(self, node: Node, detector: Type[Network], num_classes: int):
        self._node, self._num_classes = node, num_classes
        # The maps that the next part gets: a number for each, but one of channels after the neck.
        # Before the backbone the only map is the image.
        self._channels: Any = IMAGE_CHANNELS
        self._strides: Sequence[float] = (1,)
        self.parts: Dict[str, Any] = {}
        for name, source in detector.PARTS.items():
            self.parts[name] = self._part(name, source)
            if name == "backbone":
                self._channels, self._strides = levels_of(self.parts[name], node[name])
            elif name == "neck":
                self._pass_neck(self.parts[name])

    def _part(self, name: str, source: Any) -> Optional[Block]:
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

    def _derived(self, name: str) -> Dict[str, Any]:
        """Returns the arguments of a part that follow from the parts before it."""
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
            channels, size = self._cells(extractor, list(self.parts).index(f"{task}_extractor"))
            in_shape = {"in_channels": channels, "in_size": size}
            return {**in_shape, "num_classes": self._num_classes}
        if "roi_head" in self.parts:
            return {**self._trunk(name), "num_classes": self._num_classes}
        dense = {"in_channels": self._channels, "num_anchors": self.parts["anchors"].per_cell}
        return dense if name == "rpn_head" else {**dense, "num_classes": self._num_classes}

    def _cells(self, extractor: Any, position: int) -> Tuple[int, int]:
        """Returns the channels and the cells a side of what the head of an extractor gets.

        If the backbone comes after the extractor, at ``position``, it runs on each of the RoIs.
        """
        if position > list(self.parts).index("backbone"):
            return extractor.channels, extractor.size
        return self._channels[-1], side_of_map(self.parts["backbone"], extractor.size, self._node)

    def _trunk(self, name: str) -> Dict[str, Any]:
        """Returns what the head ``name`` is given if it has no extractor, but the RoI head's trunk.

        Raises ConfigError if the RoI head has none.
        """
        roi_head, node = self.parts["roi_head"], self._node["roi_head"]
        if not hasattr(roi_head, "trunk"):
            raise ConfigError(
                f"{place(node, 'type')}: expected a RoI head whose trunk the part {name!r} shares, "
                f"such as 'Res5Head', found {node['type']!r}"
            )
        return {"in_channels": roi_head.trunk_channels, "in_size": roi_head.trunk_size}

    def _pass_neck(self, neck: Any) -> None:
        """Passes on the maps of the neck or, without a neck, the maps of the backbone.

        Raises ConfigError if the backbone's maps have different numbers of channels, because one
        head reads them all.
        """
        if neck is not None:
            self._channels, self._strides = neck.channels, tuple(neck.strides)
        elif len(set(self._channels)) > 1:
            raise ConfigError(
                f"{place(self._node, 'backbone')}: expected maps with one number of channels, "
                f"because the heads read them all, found {list(self._channels)}; choose one of the "
                "maps, or add a neck"
            )
        else:
            self._channels = self._channels[0]


def _build(registry: Registry, node: Node, derived: Dict[str, Any]) -> HybridBlock:
    try:
        return registry.build(without(node, "pretrained"), **derived)
    except (mx.MXNetError, MemoryError, OverflowError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{place(node)}: expected a part that this machine can build, found one that it "
            f"cannot: {reason}; choose smaller numbers"
        ) from error


def _check_sizes(parts: Mapping[str, Optional[Block]], node: Node) -> None:
    """Raises ConfigError for a part with an array that MXNet cannot make."""
    for name, part in parts.items():
        for parameter in part.collect_params().values() if part is not None else ():
            elements = math.prod(parameter.shape or ())
            if elements > MOST_ELEMENTS:
                raise ConfigError(
                    f"{place(node, name)}: expected arrays of at most {MOST_ELEMENTS} elements, "
                    f"found {parameter.name} of shape {parameter.shape}, {elements} elements; "
                    "choose smaller numbers"
                )


def _check_statistics(postprocess: Optional[Block], node: Node, num_classes: int) -> None:
    """Raises ConfigError unless ``box_statistics`` has a row for each class, or one for all."""
    statistics = getattr(postprocess, "box_statistics", None)
    if statistics is not None and statistics.rows not in (1, num_classes):
        raise ConfigError(
            f"{place(node['postprocess'], 'box_statistics')}: expected four numbers, or a row of "
            f"four for each of {num_classes} classes, found {statistics.rows} rows; "
            "detkit box-statistics measures them"
        )


def _built_parts(model: Network, node: Node) -> Iterator[Tuple[HybridBlock, Node]]:
    """Yields (block, its section) of every part in a config, and of each part in a list."""
    for name in model.PARTS:
        part = node.get(name)
        if isinstance(part, list):
            yield from zip(getattr(model, name), part)
        elif part is not None:
            yield getattr(model, name), part


def _settle_shapes(model: Network, ctx: Context) -> None:
    """Runs the network once if a layer was built without the width of its input.

    A plugin need not give in_channels, but optimizer and checkpoints need every shape.
    """
    if any(0 in parameter.shape for parameter in model.collect_params().values()):
        side = SETTLING_SIDE
        inputs = {
            "images": mx.nd.zeros((1, 3, side, side), ctx=ctx),
            "sizes": mx.nd.array([[side, side]], ctx=ctx),
            "scales": mx.nd.ones((1, 2), ctx=ctx),
            "proposals": mx.nd.array([[[0, 0, side, side]]], ctx=ctx),
            "proposal_scores": mx.nd.ones((1, 1), ctx=ctx),
        }
        model(*(inputs[name] for name in model.INPUTS))

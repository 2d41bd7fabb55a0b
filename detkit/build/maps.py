"""The maps of a backbone: their channels and strides, and the sides of those of one image size."""

from typing import Any, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from detkit.config import place
from detkit.config.yaml import Node
from detkit.errors import ConfigError

EXAMPLE = {"channels": 64, "strides": 16}  # of the maps of a small backbone
IMAGE_CHANNELS = 3


def levels_of(backbone: HybridBlock, node: dict) -> Tuple[Tuple[int, ...], Tuple[float, ...]]:
    """Returns the channels and the strides of the maps of ``backbone``, built from ``node``.

    Raises ConfigError unless its attributes ``channels`` and ``strides`` have a number for each
    map.
    """
    channels, strides = (_numbers(backbone, name, node) for name in ("channels", "strides"))
    if len(channels) != len(strides):
        raise ConfigError(
            f"{place(node, 'type')}: the backbone {node['type']!r}: expected one of 'channels' and "
            f"one of 'strides' for each map, found {len(channels)} channels, {len(strides)} strides"
        )
    return channels, strides


def _numbers(backbone: HybridBlock, attribute: str, node: dict) -> Tuple[Any, ...]:
    """Returns the attribute ``channels`` or ``strides`` of a backbone, a number for each map.

    A map of a resized image may have a fraction as its stride.
    """
    numbers: Any = getattr(backbone, attribute, None)
    listed = isinstance(numbers, (list, tuple)) and numbers
    kinds, kind = ((int, float), "number") if attribute == "strides" else (int, "whole number")
    if not listed or not all(isinstance(number, kinds) for number in numbers):
        shown = f"{attribute} = {numbers!r}" if hasattr(backbone, attribute) else "none"
        raise ConfigError(
            f"{place(node, 'type')}: the backbone {node['type']!r}: expected an attribute "
            f"{attribute!r}, a tuple with a {kind} for each map, found {shown}; for one map "
            f"write, for example, {attribute} = ({EXAMPLE[attribute]},)"
        )
    return tuple(numbers)


def side_of_map(backbone: HybridBlock, size: int, node: Node) -> int:
    """Returns the cells along a side of the last map of an image of size x size pixels.

    node: the section ``model``.

    Raises ConfigError if the backbone has no map for so small an image.
    """
    *_, last = backbone(mx.sym.var("image"))
    try:
        _, (shape,), _ = last.infer_shape(image=(1, IMAGE_CHANNELS, size, size))
    except mx.MXNetError as error:
        raise ConfigError(
            f"{place(node['roi_extractor'], 'size')}: expected a size that the backbone "
            f"{node['backbone']['type']!r} has a map for, found {size}; choose a larger one"
        ) from error
    side: int = shape[2]
    return side

"""The key ``data.augment`` of a config: a preset -> the list ``data.train_transforms``."""

from typing import Any, List

from detkit.config import Config, NodeList, did_you_mean, place, require, section
from detkit.config.yaml import dump_yaml, parse_yaml
from detkit.data.presets import FLIP, JOINED, PRESETS, following
from detkit.errors import ConfigError

AUGMENT, TRANSFORMS = "augment", "train_transforms"


def expand_augment(config: Config) -> None:
    """Joins the transforms of ``data.augment`` to ``data.train_transforms``, and drops the key.

    The list keeps its Resize and its flips, and gets a HorizontalFlip if it has none. The
    transforms of the preset follow. A config without the key, or with null, is left as it is.

    Raises ConfigError for an unknown preset, and for a list that has other transforms.
    """
    data = section(config, "data")
    if data.get(AUGMENT) is None:
        data.pop(AUGMENT, None)
        return
    preset: str = require(data, AUGMENT, str)
    origin = data.where(AUGMENT)
    if preset not in PRESETS:
        raise ConfigError(
            f"{place(data, AUGMENT)}: expected one of {', '.join(PRESETS)}, or null, found "
            f"{preset!r}{did_you_mean(preset, PRESETS)}"
        )
    nodes = require(data, TRANSFORMS, List[dict])
    _check_joined(nodes, place(data, AUGMENT))
    added = [] if any(node["type"] == FLIP["type"] for node in nodes) else [dict(FLIP)]
    expanded = NodeList(nodes.path, nodes.origin)
    for index, node in enumerate(nodes):
        expanded.put(index, node, nodes.where(index))
    for transform in [*added, *following(preset)]:
        index = len(expanded)
        path = f"{nodes.path}.{index}"
        expanded.put(index, parse_yaml(dump_yaml(transform), lambda mark: origin, path), origin)
    data.put(TRANSFORMS, expanded, data.where(TRANSFORMS))
    data.pop(AUGMENT)


def _check_joined(nodes: Any, preset: str) -> None:
    """Raises ConfigError for a transform beside a preset, and for a second one of a kind.

    preset: the place of the key.
    """
    seen: List[str] = []
    for node in nodes:
        kind = require(node, "type", str)
        if kind in seen or kind not in JOINED:
            raise ConfigError(
                f"{place(node, 'type')}: expected at most one each of {', '.join(JOINED)} beside "
                f"a preset ({preset}), which brings its own transforms, found {kind!r}"
                f"{' again' * (kind in seen)}; leave out data.augment, or write the preset's "
                "transforms in the list"
            )
        seen.append(kind)

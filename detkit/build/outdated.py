"""Settings that configs of earlier versions have: found and reported at once, with today's words.

The config in a run's folder is as old as the run. Its weights are still good, so one message says
which lines to rewrite.
"""

import json
from typing import Iterator, Tuple

from detkit.config import Config, place
from detkit.errors import ConfigError
from detkit.models.layers import maps_of_strides
from detkit.registry import BACKBONES, signature

EXTRACTORS = ("roi_extractor", "mask_extractor")
FROZEN_NORM = {  # by backbone, what frozen_norm: true and false meant
    "GluonZoo": ("FrozenBN", "BN"),
    "MobileNetV2": ("FrozenStatsBN", "BN"),
}
STAGES = {  # by backbone, from its section: the number of its first stage, the strides of all
    "VGG": lambda node: (1, [min(2**n, node.get("stride", 16)) for n in range(5)]),
    "ResNet": lambda node: (2, [4, 8, 16, 16 if node.get("dilated_c5") else 32]),
    "MobileNetV3": lambda node: (0, [2, 4, 8, 16, 32, 32]),
}


def check_outdated(config: Config) -> None:
    """Raises one ConfigError that lists every outdated setting, its place, and what to write.

    A backbone of a plugin that itself has an argument of an outdated name is left alone.
    """
    lines = [
        f"  {place(node, key)}: expected {instead}, found {key}: {json.dumps(node[key])}"
        for node, key, instead in _outdated(config)
    ]
    if lines:
        listed = "\n".join(lines)
        raise ConfigError(
            f"{place(config)}: the config is of an earlier version of detkit; write what is "
            f"expected, and checkpoints of its runs fit as they did:\n{listed}"
        )


def _outdated(config) -> Iterator[Tuple[dict, str, str]]:
    """Yields (section, key, what is written instead)."""
    backbone = _mapping(config, "model", "backbone")
    kind = str(backbone.get("type"))
    if "frozen_norm" in backbone and kind in FROZEN_NORM and not _takes(kind, "frozen_norm"):
        frozen, trained = FROZEN_NORM[kind]
        yield backbone, "frozen_norm", f"norm: {frozen if backbone['frozen_norm'] else trained}"
    if "out_stages" in backbone and kind in STAGES and not _takes(kind, "out_stages"):
        yield backbone, "out_stages", _strides_of(backbone)
    targets = _mapping(config, "train_step", "rpn_targets")
    straddle = targets.get("straddle")
    if isinstance(straddle, (int, float)) and straddle < 0:
        yield targets, "straddle", "straddle: null"
    for name in EXTRACTORS:
        extractor = _mapping(config, "model", name)
        if extractor.get("type") == "RoIAlign" and extractor.get("sampling") == 0:
            yield extractor, "sampling", "sampling: null"


def _mapping(config, *keys):
    """The section at ``keys``; an empty one if anything else is there."""
    node = config
    for key in keys:
        node = node.get(key)
        if not isinstance(node, dict):
            return {}
    return node


def _takes(kind, key):
    """Whether the backbone registered as ``kind`` has the argument ``key``, or is not there."""
    if kind not in BACKBONES.names():
        return True
    accepted, _ = signature(BACKBONES.get(kind))
    return key in accepted


def _strides_of(backbone: dict) -> str:
    """Returns the ``out_strides`` that choose the maps of ``out_stages``, or all if none do."""
    try:
        first, strides = STAGES[backbone["type"]](backbone)
        numbers = [stage - first for stage in backbone["out_stages"]]
        wanted = [strides[number] for number in numbers if number >= 0]
        # Of several maps of a stride, out_strides cannot name one without those after it.
        if maps_of_strides(wanted, strides) == numbers:
            return f"out_strides: {wanted}"
        return f"out_strides, some of {strides}"
    except (TypeError, ValueError, IndexError):  # the setting was wrong before, too
        return "out_strides, a list of strides"

"""Settings of earlier versions in a config, which are reported at once with what to write instead.

The config in a run's folder is as old as the run, but its weights are still valid. One message
therefore lists the lines to rewrite.
"""

import json
from typing import Any, Iterator, Tuple

from detkit.config import Config, place
from detkit.construct import signature
from detkit.errors import ConfigError
from detkit.models.levels import maps_of_strides
from detkit.registry import BACKBONES

EXTRACTORS = ("roi_extractor", "mask_extractor")
FROZEN_NORM = {  # by backbone: the norms that frozen_norm: true and false selected
    "GluonZoo": ("FrozenBN", "BN"),
    "MobileNetV2": ("FrozenStatsBN", "BN"),
}
STAGES = {  # by backbone: a section -> the number of its first stage, the strides of all stages
    "VGG": lambda node: (1, [min(2**n, node.get("stride", 16)) for n in range(5)]),
    "ResNet": lambda node: (2, [4, 8, 16, 16 if node.get("dilated_c5") else 32]),
    "MobileNetV3": lambda node: (0, [2, 4, 8, 16, 32, 32]),
}


def check_outdated(config: Config) -> None:
    """Raises one ConfigError that lists every outdated setting, its place, and what to write.

    A backbone of a plugin may have an argument of an outdated name, which is not reported.
    """
    lines = [
        f"  {place(node, key)}: expected {instead}, found {key}: {json.dumps(node[key])}"
        for node, key, instead in _outdated(config)
    ]
    if lines:
        listed = "\n".join(lines)
        raise ConfigError(
            f"{place(config)}: expected a config of this version of detkit, found settings of an "
            f"earlier one; write what is expected, and checkpoints of its runs still fit:\n{listed}"
        )


def _outdated(config: Config) -> Iterator[Tuple[dict, str, str]]:
    """Yields (section, key, what to write instead)."""
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


def _mapping(config: Config, *keys: str) -> dict:
    """Returns the section at ``keys``; an empty one if the config has none there."""
    node: Any = config
    for key in keys:
        node = node.get(key)
        if not isinstance(node, dict):
            return {}
    return node


def _takes(kind: str, key: str) -> bool:
    """Returns whether the backbone ``kind`` has the argument ``key``; true of an unknown one."""
    if kind not in BACKBONES.names():
        return True
    accepted, _ = signature(BACKBONES.get(kind))
    return key in accepted


def _strides_of(backbone: dict) -> str:
    """Returns the ``out_strides`` that choose the maps of ``out_stages``.

    If no ``out_strides`` do, all strides of the backbone are returned to choose from.
    """
    try:
        first, strides = STAGES[backbone["type"]](backbone)
        numbers = [stage - first for stage in backbone["out_stages"]]
        wanted = [strides[number] for number in numbers if number >= 0]
        # If several maps have one stride, out_strides cannot name one without the maps after it.
        if maps_of_strides(wanted, strides) == numbers:
            return f"out_strides: {wanted}"
        return f"out_strides, some of {strides}"
    except (TypeError, ValueError, IndexError):  # the setting was wrong in its own version, too
        return "out_strides, a list of strides"

"""Reads config files into values that know the file and the line that they were written on."""

from detkit.config.config import (
    Config,
    check_keys,
    dump_config,
    is_plugin_file,
    load_config,
    require,
    section,
    to_plain,
    unknown_key,
)
from detkit.config.nodes import Node, NodeList, display_path, leaves, overlaid, place, without
from detkit.wording import did_you_mean

__all__ = [
    "Config",
    "Node",
    "NodeList",
    "check_keys",
    "did_you_mean",
    "display_path",
    "dump_config",
    "is_plugin_file",
    "leaves",
    "load_config",
    "overlaid",
    "place",
    "require",
    "section",
    "to_plain",
    "unknown_key",
    "without",
]

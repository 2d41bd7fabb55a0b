"""Text -> values that know their line."""

from detkit.config.config import (
    Config,
    check_keys,
    dump_config,
    is_plugin_file,
    leaves,
    load_config,
    place,
    require,
    section,
    to_plain,
    unknown_key,
    without,
)
from detkit.wording import did_you_mean

__all__ = [
    "Config",
    "check_keys",
    "did_you_mean",
    "dump_config",
    "is_plugin_file",
    "leaves",
    "load_config",
    "place",
    "require",
    "section",
    "to_plain",
    "unknown_key",
    "without",
]

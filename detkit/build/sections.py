"""A file -> a config whose sections are known and whose plugins are imported."""

from detkit.build.data import DATA_KEYS, PROPOSALS
from detkit.build.model import detector_of
from detkit.build.outdated import check_outdated
from detkit.build.train_step import train_step_of
from detkit.config import check_keys, load_config, place, require, section
from detkit.errors import ConfigError
from detkit.plugins import import_plugins

SECTIONS = ("seed", "model", "train_step", "data", "train", "evaluate", "plugins", "ops")


def open_config(path, overrides=()):
    """The Config of a file with 'a.b=c' overrides: its sections checked, its plugins imported.

    Raises ConfigError, naming the place, for what is wrong with any of them.
    """
    return opened(load_config(path, overrides))


def opened(config):
    """A Config that was loaded, opened as by ``open_config``; a second time changes nothing."""
    check_sections(config)
    config.plugin_report = import_plugins(config)
    check_outdated(config)
    return config


def check_sections(config):
    """Refuse a top-level key that nothing reads, and a config without what everything needs."""
    check_keys(config, SECTIONS)
    for key in ("model", "data"):
        require(config, key, dict)
    check_keys(config["data"], DATA_KEYS)


def check_norms(node):
    """Refuse SyncBN in a section of a training, or in a section within it.

    A training runs on one device, and SyncBN is then BN: whoever asks for it expects the statistics
    of a larger batch than there is.
    """
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)):
            check_norms(value)
        elif key == "norm" and value == "SyncBN":
            raise ConfigError(
                f"{place(node, key)}: SyncBN takes its statistics from the batches of several "
                "devices, and detkit trains on one device; expected norm: BN, which does the same "
                "there, or GN or FrozenBN, which need no large batch"
            )


def check_parts(config):
    """Refuse a part that the detector or its training step does not have; plugins are imported.

    Proposals, too, where the detector makes its own.
    """
    detector = detector_of(config)
    check_keys(section(config, "train_step"), train_step_of(detector).PARTS)
    given = [key for key in PROPOSALS if key in config["data"]]
    if given and "proposals" not in detector.INPUTS:
        raise ConfigError(
            f"{place(config['data'], given[0])}: the detector {config['model']['type']!r} takes no "
            "proposals; remove the key"
        )

"""A file -> a config whose sections are known and whose plugins are imported."""

import os
from typing import Any, Iterable, List, Union

from detkit.build.augment import expand_augment
from detkit.build.data import (
    DATA_KEYS,
    PROPOSALS,
    TEST_PROPOSALS,
    build_tta,
    check_test,
    taken_proposals,
)
from detkit.build.model import detector_of
from detkit.build.outdated import check_outdated
from detkit.build.regimes import WITH_ANCHORS, expand_regime, regime_of
from detkit.build.train_step import chosen_step
from detkit.config import Config, check_keys, load_config, place, require, section
from detkit.config.types import shown
from detkit.device import find_devices
from detkit.errors import ConfigError
from detkit.plugins import import_plugins
from detkit.runner.options import TrainOptions
from detkit.typing import Context

SECTIONS = (
    "seed",
    "model",
    "train_step",
    "data",
    "train",
    "evaluate",
    "regime",
    "tta",
    "stages",
    "plugins",
    "ops",
)


def open_config(path: Union[str, "os.PathLike[str]"], overrides: Iterable[str] = ()) -> Config:
    """Returns the Config of a file with 'a.b=c' overrides; checks sections and imports plugins.

    Raises ConfigError with the place of the error.
    """
    return opened(load_config(path, overrides))


def opened(config: Config) -> Config:
    """Returns a loaded Config after the checks and imports of ``open_config``.

    A second call changes nothing.
    """
    check_sections(config)
    config.plugin_report = import_plugins(config)
    check_outdated(config)
    expand_augment(config)
    expand_regime(config)
    return config


def check_sections(config: Config) -> None:
    """Raises ConfigError for an unknown top-level key, or if ``model`` or ``data`` is missing.

    It refuses an unknown regime, too.
    """
    check_keys(config, SECTIONS)
    regime_of(config)
    for key in ("model", "data"):
        require(config, key, dict)
    check_keys(config["data"], DATA_KEYS)


def seed_of(config: Config) -> int:
    """Returns ``seed``, 0 by default. Raises ConfigError unless it is a whole number from 0 on."""
    seed = config.get("seed", 0)
    if type(seed) is not int or seed < 0:  # true is an int too
        raise ConfigError(
            f"{place(config, 'seed')}: expected a whole number from 0 on, found {shown(seed)}"
        )
    return seed


def devices_of(config: Config, options: TrainOptions) -> List[Context]:
    """Returns the devices of ``train.device``.

    Raises ConfigError, with the place, for a device that is not there, and for more devices than
    images in a batch.
    """
    try:
        devices = find_devices(options.device)
    except ConfigError as error:
        raise ConfigError(f"{place(config['train'], 'device')}: {error}") from error
    if len(devices) > options.batch_size:
        raise ConfigError(
            f"{place(config['train'], 'batch_size')}: expected an image for each of the "
            f"{len(devices)} devices of train.device, found {options.batch_size}"
        )
    return devices


def check_norms(node: Any) -> None:
    """Raises ConfigError for SyncBN in a section of a training, or in a section within it.

    On one device SyncBN is BN, and a user who asks for it expects the statistics of a larger batch.
    On several, a training hangs in MXNet's operator.

    node: a section, or a list in one.
    """
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        kind = value.get("type") if isinstance(value, dict) else value
        if key == "norm" and kind == "SyncBN":
            raise ConfigError(
                f"{place(node, key)}: expected a norm of the images of one device, found 'SyncBN', "
                "which takes its statistics from several; write norm: BN, which does the same on "
                "one device, or GN or FrozenBN, which need no large batch"
            )
        if isinstance(value, (dict, list)):
            check_norms(value)


def check_parts(config: Config) -> None:
    """Raises ConfigError for a part that neither the detector nor its training step has.

    It also refuses a ``data.test`` that is no dataset, stored proposals that a training does not
    take, an argument of the proposals that the regime sets, and a wrong ``tta``. Plugins must be
    imported.
    """
    detector = detector_of(config)
    check_test(config)
    _check_proposals(config)
    step = chosen_step(config, detector)
    check_keys(section(config, "train_step"), ("type", *step.PARTS))
    if "tta" in config:
        build_tta(config)
    taken = [*taken_proposals(config, detector)]
    taken += [TEST_PROPOSALS] * ("proposals" in detector.INPUTS)
    for key in (*PROPOSALS, TEST_PROPOSALS):
        if key in config["data"] and key not in taken:
            raise ConfigError(
                f"{place(config['data'], key)}: expected no proposals, because the detector "
                f"{config['model']['type']!r} makes its own, found the key; remove it"
            )


def _check_proposals(config: Config) -> None:
    """Raises ConfigError for an argument of the proposals that the regime sets."""
    for above in (config["model"], section(config, "train_step")):
        node = section(above, "proposals")
        if WITH_ANCHORS in node:
            raise ConfigError(
                f"{place(node, WITH_ANCHORS)}: expected no key, because the regime sets it, found "
                f"{WITH_ANCHORS!r}; remove it"
            )

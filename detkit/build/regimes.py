"""The key ``regime`` of a config: how the parts of a detector are trained together."""

from typing import Any, Type

from detkit.config import Config, did_you_mean, place, require
from detkit.errors import ConfigError
from detkit.models import Network
from detkit.registry import DETECTORS, TRAIN_STEPS
from detkit.train_steps import TrainStep

JOINT, ALTERNATING, EXACT = "joint", "alternating", "exact"
REGIMES = (JOINT, ALTERNATING, EXACT)
_PREFIX = "Exact"  # of the names of the steps for the regime ``exact``


def regime_of(config: Config) -> str:
    """Returns ``regime``, one of REGIMES; JOINT without the key.

    Raises ConfigError for another value.
    """
    if config.get("regime") is None:
        return JOINT
    regime: str = require(config, "regime", str)
    if regime not in REGIMES:
        raise ConfigError(
            f"{place(config, 'regime')}: expected one of {', '.join(REGIMES)}, found {regime!r}"
            f"{did_you_mean(regime, REGIMES)}"
        )
    return regime


def exact_step_of(config: Config, model: Network) -> Type[TrainStep]:
    """Returns the class that trains ``model`` in the regime ``exact``.

    Raises ConfigError if there is none, or if the pooling of the RoIs has no gradient with respect
    to them.
    """
    where, names = place(config, "regime"), TRAIN_STEPS.names()
    detectors = {DETECTORS.get(name): name for name in DETECTORS.names()}
    kinds = [detectors[kind] for kind in type(model).__mro__ if kind in detectors]
    steps = [f"{_PREFIX}{name}" for name in kinds if f"{_PREFIX}{name}" in names]
    if not steps:
        having = [name for name in detectors.values() if f"{_PREFIX}{name}" in names]
        raise ConfigError(
            f"{where}: expected a detector that can be trained by the regime {EXACT!r}, which is "
            f"{' or '.join(having)}, found {config['model']['type']!r}; write regime: {JOINT}"
        )
    if not getattr(model.roi_extractor, "differentiable", False):
        node = config["model"]["roi_extractor"]
        raise ConfigError(
            f"{place(node, 'type')}: expected a pooling that has a gradient with respect to the "
            f"RoIs, because regime is {EXACT!r} ({where}), found {node['type']!r}; write type: "
            f"PrRoIPool, or regime: {JOINT}"
        )
    step: Any = TRAIN_STEPS.get(steps[0])
    return step

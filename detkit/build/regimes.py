"""The key ``regime`` of a config: how the parts of a detector are trained together."""

from typing import Any, Dict, List, Type

from detkit.config import (
    Config,
    Node,
    NodeList,
    did_you_mean,
    overlaid,
    place,
    require,
    section,
    to_plain,
    unknown_key,
)
from detkit.config.yaml import dump_yaml, parse_yaml
from detkit.errors import ConfigError
from detkit.models import Network
from detkit.registry import DETECTORS, TRAIN_STEPS
from detkit.train_steps import TrainStep

JOINT, ALTERNATING, EXACT = "joint", "alternating", "exact"
REGIMES = (JOINT, ALTERNATING, EXACT)
WITH_ANCHORS = "with_anchors"  # the argument of proposals that the regime ``exact`` sets
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

    Raises ConfigError if there is none, if ``train_step.type`` names another one, or if the pooling
    of the RoIs has no gradient with respect to them.
    """
    _refuse_step(config, EXACT)
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


def expand_regime(config: Config) -> None:
    """Replaces ``regime: alternating`` by the list of its four ``stages``.

    ``stages`` may be a mapping {name of a stage: what is changed in it}. A list is a schedule
    already, and stays as it is.

    Raises ConfigError for a detector that has no such training, for an unknown name, for
    ``stages`` that do not fit the regime, and for a ``train_step.type``.
    """
    regime, stages = regime_of(config), config.get("stages")
    if isinstance(stages, list) or (stages is None and regime != ALTERNATING):
        if stages is not None and regime == EXACT:
            raise ConfigError(
                f"{place(config, 'regime')}: expected no regime {EXACT!r} beside stages, found it; "
                "write it in the stages that it is for"
            )
        return
    if regime != ALTERNATING:
        raise ConfigError(
            f"{place(config, 'stages')}: expected a list of stages, because regime is {regime!r}, "
            f"found {stages!r}; a mapping changes the stages of regime: {ALTERNATING}"
        )
    _check_alternating(config)
    origin = place(config, "regime")
    own = {stage["name"]: stage for stage in _alternating(config)}
    changes = section(config, "stages")
    for name in changes:
        if name not in own:
            raise ConfigError(unknown_key(changes, name, own))
        require(changes, name, dict)
    expanded = NodeList("stages", origin)
    for index, (name, plain) in enumerate(own.items()):
        stage = parse_yaml(dump_yaml(plain), lambda mark: origin, f"stages.{name}")
        expanded.put(index, overlaid(stage, changes.get(name, Node(stage.path))), origin)
    config.put("stages", expanded, origin)


def _check_alternating(config: Config) -> None:
    """Raises ConfigError unless ``model`` and ``train_step`` are those of the regime's detector."""
    kind = section(config, "model").get("type")
    if kind != "FasterRCNN":
        raise ConfigError(
            f"{place(config, 'regime')}: expected a FasterRCNN for the regime {ALTERNATING!r}, "
            f"found {kind!r}; write the stages as a list"
        )
    _refuse_step(config, ALTERNATING)


def _refuse_step(config: Config, regime: str) -> None:
    """Raises ConfigError if ``train_step.type`` names a step, which the regime does itself."""
    named = section(config, "train_step")
    if named.get("type") is not None:
        raise ConfigError(
            f"{place(named, 'type')}: expected no type, because regime is {regime!r} and names "
            f"the step, found {named['type']!r}; leave out one of the two"
        )


def _alternating(config: Config) -> List[Dict[str, Any]]:
    """Returns the stages of alternating training (Ren et al. 2015, section 3.2, i).

    The third stage trains a new head of the RPN, and the fourth goes on with the RoI head of the
    second, as in py-faster-rcnn.
    """
    shared = [part for part in ("backbone", "neck") if config["model"].get(part) is not None]
    train_step = section(config, "train_step")
    rpn = {
        "model": {"type": "RPN", "proposals": to_plain(section(train_step, "proposals"))},
        "evaluate": {"type": "ProposalEvaluator"},
    }
    fast: Dict[str, Any] = {"model": {"type": "FastRCNN"}}

    def after(stage: str, **others: str) -> Dict[str, Any]:
        return {"start_from": {**dict.fromkeys(shared, stage), **others}, "freeze": shared}

    return [
        {"name": "1-rpn", **rpn},
        {"name": "2-fast-rcnn", **fast, "proposals": "1-rpn"},
        {"name": "3-rpn", **rpn, **after("2-fast-rcnn")},
        {
            "name": "4-fast-rcnn",
            **fast,
            **after("3-rpn", roi_head="2-fast-rcnn"),
            "proposals": "3-rpn",
        },
    ]

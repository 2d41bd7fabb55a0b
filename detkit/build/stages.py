"""The key ``stages`` of a config: trainings one after another, each a config of its own."""

import copy
import re
from typing import Any, Dict, List, Mapping, Sequence, Type

from detkit.build.augment import expand_augment
from detkit.build.data import PROPOSALS, taken_proposals
from detkit.build.model import detector_of
from detkit.build.stage import Stage
from detkit.build.train_step import chosen_step
from detkit.config import Config, Node, check_keys, overlaid, place, require, section
from detkit.errors import ConfigError
from detkit.models import Network

# The sections that a stage may change; its other keys are about the stages before it.
CHANGED = ("regime", "model", "train_step", "data", "train", "evaluate")
KEYS = ("name", *CHANGED, "freeze", "start_from", "proposals")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a folder


def read_stages(config: Config) -> List[Stage]:
    """Returns the stages of ``config``, whose regime was expanded.

    Raises ConfigError for a stage that cannot be: an unknown key, a name that is no folder's or is
    given twice, or something taken from a stage that is not before it.
    """
    nodes = require(config, "stages", List[dict])
    require(config, "train", dict)
    stages: List[Stage] = []
    for node in nodes:
        check_keys(node, KEYS)
        name = require(node, "name", str)
        names = [stage.name for stage in stages]
        if not _NAME.fullmatch(name) or name in names:
            raise ConfigError(
                f"{place(node, 'name')}: expected a new name of letters, digits and -_., which "
                f"becomes a folder, found {name!r}"
            )
        proposals = node.get("proposals")
        if proposals is not None:
            _check_proposals(node, {stage.name: stage for stage in stages})
        stages.append(Stage(name, node, _config_of(config, node), proposals, _limits(config)))
        _check_taken(stages[-1])
        _check_sources(stages[-1], names, [node.get("name") for node in nodes])
    if not stages:
        raise ConfigError(f"{place(config, 'stages')}: expected at least one stage, found none")
    return stages


def joined(config: Config, stages: Sequence[Stage], parts: Sequence[str]) -> Stage:
    """Returns the stage that joins others: it has the whole detector and trains nothing.

    parts: the parts of the detector that have weights. Each comes from the last stage that has it.

    A detector that takes proposals gets those of the last stage that has some, unless the config
    names their files.

    Raises ConfigError for a part that no stage has, and for one that was trained on another
    backbone or neck than the joined detector's.
    """
    sources = {}
    for part in parts:
        having = [stage for stage in stages if part in _parts_of(stage.config)]
        if not having:
            raise ConfigError(
                f"{place(config, 'stages')}: expected a stage that has the part {part!r} of the "
                "detector, found none; add one"
            )
        sources[part] = having[-1]
    _check_joined(config, stages, sources)
    origin = place(config, "stages")
    whole = _config_of(config, Node("", origin))
    named = Node("train.start_from", origin)
    for part, stage in sources.items():
        named.put(part, stage.name, origin)
    train = whole["train"]
    length: Dict[str, Any] = {"epochs": 1, "steps": None, "time": None}
    for key, value in {**length, "freeze": [], "start_from": named}.items():
        train.put(key, value, origin)
    result = Stage("joined", Node("stages", origin), whole, limits=_limits(config))
    given = [stage.proposals for stage in stages if stage.proposals is not None]
    return result._replace(proposals=given[-1]) if given and result.missing else result


def _config_of(config: Config, node: Node) -> Config:
    """Returns the config of a stage: the whole one, changed as ``node`` says."""
    result = copy.deepcopy(config)
    for key in ("regime", "stages"):
        result.pop(key, None)
    for key in CHANGED:
        if node.get(key) is None:
            continue
        value = require(node, key, str if key == "regime" else dict)
        if isinstance(value, Node):
            inherited = section(result, key)
            # Another detector still has some of the parts.
            value = overlaid(_with_type(inherited, value) if key == "model" else inherited, value)
        result.put(key, value, node.where(key))
    for key in ("freeze", "start_from"):
        if node.get(key) is not None:
            result["train"].put(key, copy.deepcopy(node[key]), node.where(key))
    _keep_parts(result, config, node)
    expand_augment(result)
    return result


def _with_type(inherited: Node, node: Node) -> Node:
    """Returns a copy of a section that has the ``type`` of another, if that has one."""
    result = copy.copy(inherited)
    if "type" in node:
        result.put("type", node["type"], node.where("type"))
    return result


def _keep_parts(result: Config, config: Config, node: Node) -> None:
    """Drops what a stage inherits for another detector: its parts, its step and its proposals."""
    detector = _detector_of_type(result)
    own_step = section(node, "train_step")
    if detector is not _detector_of_type(config) and "type" not in own_step:
        section(result, "train_step").pop("type", None)
    step = chosen_step(result, detector)
    for key, parts in (("model", detector.PARTS), ("train_step", step.PARTS)):
        own = section(node, key)
        for name in list(result.get(key) or ()):
            if name not in (*parts, "type", *own):
                del result[key][name]
    for key in PROPOSALS:
        if key not in (*taken_proposals(result, detector), *section(node, "data")):
            result["data"].pop(key, None)


def _detector_of_type(config: Config) -> Type[Network]:
    """Returns the detector of ``model.type`` alone, whatever else is in ``model``."""
    alone = Config(Node(), config.file)
    model = Node("model", config["model"].origin)
    model.put("type", require(config["model"], "type", str), config["model"].where("type"))
    alone.put("model", model, config.where("model"))
    return detector_of(alone)


def _parts_of(config: Config) -> Sequence[str]:
    """Returns the parts of a stage's detector that its config has."""
    return [part for part in detector_of(config).PARTS if config["model"].get(part) is not None]


def _limits(config: Config) -> Dict[str, int]:
    """Returns {split: how many proposals of an image the whole detector takes}, if it says so."""
    parts = {"train": section(config, "train_step"), "val": config["model"]}
    counts = {split: section(node, "proposals").get("post_nms") for split, node in parts.items()}
    return {split: count for split, count in counts.items() if count is not None}


def _check_taken(stage: Stage) -> None:
    """Raises ConfigError if a stage has proposals that it does not take, or lacks some."""
    kind = stage.config["model"]["type"]
    if stage.proposals is not None and not stage.taken:
        raise ConfigError(
            f"{place(stage.node, 'proposals')}: expected no proposals, because the {kind} of the "
            f"stage makes its own, found {stage.proposals!r}; remove the key"
        )
    if stage.proposals is None and stage.missing:
        raise ConfigError(
            f"{place(stage.node)}: expected proposals for the {kind} of the stage "
            f"{stage.name!r}, found none; write proposals: NAME of an earlier stage, or the files "
            f"under data.{' and data.'.join(stage.missing)}"
        )


def _check_proposals(node: Node, before: Mapping[str, Stage]) -> None:
    source = require(node, "proposals", str)
    if source not in before:
        raise ConfigError(
            f"{place(node, 'proposals')}: expected the name of an earlier stage, one of "
            f"{', '.join(before) or 'none'}, found {source!r}"
        )
    if detector_of(before[source].config).TELLS_CLASSES:
        raise ConfigError(
            f"{place(node, 'proposals')}: expected a stage whose detector proposes boxes of one "
            f"class, such as an RPN, found {source!r}, which trains a "
            f"{before[source].config['model']['type']}"
        )


def _check_sources(stage: Stage, before: Sequence[str], names: Sequence[Any]) -> None:
    for source in stage.sources.values():
        if not isinstance(source, str):
            raise ConfigError(
                f"{place(stage.node, 'start_from')}: expected the name of a stage or a folder, "
                f"found {source!r}"
            )
        if source in names and source not in before:
            raise ConfigError(
                f"{place(stage.node, 'start_from')}: expected a stage before {stage.name!r}, one "
                f"of {', '.join(before) or 'none'}, or a folder, found {source!r}"
            )


def _check_joined(config: Config, stages: Sequence[Stage], sources: Mapping[str, Stage]) -> None:
    """Raises ConfigError if a part was trained on other features than the joined detector has."""
    made = _origins(stages)
    shared = [part for part in ("backbone", "neck") if part in sources]
    for part, stage in sources.items():
        for below in shared:
            theirs = made[stage.name].get(below)
            ours = made[sources[below].name][below]
            if theirs != ours:
                raise ConfigError(
                    f"{place(config, 'stages')}: expected that the {part} of {stage.name!r}, the "
                    f"last stage that has one, was trained on the {below} that the joined detector "
                    f"gets, found that it was trained on the {below} of {theirs!r}, and the "
                    f"detector gets the one of {ours!r}; freeze the {below} in later stages, or "
                    f"train the {part} again"
                )


def _origins(stages: Sequence[Stage]) -> Dict[str, Dict[str, str]]:
    """Returns {stage: {part: the stage that last trained it, or the file that it is from}}."""
    made: Dict[str, Dict[str, str]] = {}
    for stage in stages:
        freeze = stage.config["train"].get("freeze") or ()
        frozen = [part for part in freeze if not isinstance(freeze, dict) or freeze[part] is None]
        made[stage.name] = dict.fromkeys(_parts_of(stage.config), stage.name)
        for part in frozen:
            source = stage.sources.get(part, stage.sources.get(None))
            if source is None:
                source = section(stage.config["model"], part).get("pretrained")
            if source is not None:
                made[stage.name][part] = made.get(source, {}).get(part, source)
    return made

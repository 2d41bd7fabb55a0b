"""The key ``stages`` of a config: trainings one after another, each a config of its own."""

import copy
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Type

from detkit.build.data import PROPOSALS
from detkit.build.model import detector_of
from detkit.build.train_step import train_step_of
from detkit.config import Config, Node, check_keys, overlaid, place, require, section
from detkit.errors import ConfigError
from detkit.models import Network

# The sections that a stage may change; its other keys are about the stages before it.
CHANGED = ("regime", "model", "train_step", "data", "train", "evaluate")
KEYS = ("name", *CHANGED, "freeze", "start_from", "proposals")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a folder


class Made(NamedTuple):
    """The files of a stage that later stages take.

    checkpoint: the folder of its last checkpoint, or None if it was not trained. proposals: {split:
    file}, empty if no later stage takes them.
    """

    checkpoint: Optional[str]
    proposals: Mapping[str, str]


class Stage(NamedTuple):
    """One training of several.

    node: its section. config: the whole config of its training, in which ``train.start_from`` still
    names stages, and proposals are missing. proposals: the stage whose proposals it is trained on.
    limits: {split: how many of an image's}.
    """

    name: str
    node: Node
    config: Config
    proposals: Optional[str] = None
    limits: Mapping[str, int] = {}

    def __str__(self) -> str:
        """Returns the stage in words: '3-rpn trains RPN, backbone frozen'."""
        frozen = self.config["train"].get("freeze")
        kept = f", {' and '.join(frozen)} frozen" if frozen else ""
        return f"{self.name} trains {self.config['model']['type']}{kept}"

    @property
    def sources(self) -> Dict[Optional[str], str]:
        """Returns {part: stage or folder that its weights come from}; the key None is for all."""
        named = self.config["train"].get("start_from")
        return dict(named) if isinstance(named, dict) else {None: named} if named else {}

    def placed(self, made: Mapping[str, Made]) -> Config:
        """Returns the config with the files of earlier stages instead of their names."""
        config = copy.deepcopy(self.config)
        train: Node = config["train"]
        named = train.get("start_from")
        if isinstance(named, Node):
            for part, source in list(named.items()):
                named.put(part, _folder(source, made), named.where(part))
                if named[part] is None:
                    del named[part]
                elif isinstance(config["model"].get(part), dict):
                    config["model"][part].pop("pretrained", None)  # it would be replaced at once
        elif named:
            train.put("start_from", _folder(named, made), train.where("start_from"))
        if not train.get("start_from"):
            train.pop("start_from", None)
        if self.proposals is not None:
            origin = place(self.node, "proposals")
            for split, path in made[self.proposals].proposals.items():
                file = Node(f"data.{split}_proposals", origin)
                file.put("path", path, origin)
                if split in self.limits:
                    file.put("limit", self.limits[split], origin)
                config["data"].put(f"{split}_proposals", file, origin)
        return config


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
        _check_sources(stages[-1], names, [node.get("name") for node in nodes])
    if not stages:
        raise ConfigError(f"{place(config, 'stages')}: expected at least one stage, found none")
    return stages


def joined(config: Config, stages: Sequence[Stage], parts: Sequence[str]) -> Stage:
    """Returns the stage that joins others: it has the whole detector and trains nothing.

    parts: the parts of the detector that have weights. Each comes from the last stage that has it.

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
    for key, value in (("freeze", []), ("epochs", 1), ("steps", None), ("start_from", named)):
        train.put(key, value, origin)
    return Stage("joined", Node("stages", origin), whole)


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
    return result


def _with_type(inherited: Node, node: Node) -> Node:
    """Returns a copy of a section that has the ``type`` of another, if that has one."""
    result = copy.copy(inherited)
    if "type" in node:
        result.put("type", node["type"], node.where("type"))
    return result


def _keep_parts(result: Config, config: Config, node: Node) -> None:
    """Drops the inherited sections of parts that the stage's detector or its step has not."""
    detector = _detector_of_type(result)
    for key, parts in (("model", detector.PARTS), ("train_step", train_step_of(detector).PARTS)):
        own = section(node, key)
        for name in list(result.get(key) or ()):
            if name not in (*parts, "type", *own):
                del result[key][name]
    if "proposals" not in detector.INPUTS:
        for key in PROPOSALS:
            if key not in section(node, "data"):
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
                    f"gets, found that it was trained on that of {theirs!r}, and the last is that "
                    f"of {ours!r}; freeze the {below} in later stages, or train the {part} again"
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


def _folder(source: Any, made: Mapping[str, Made]) -> Any:
    """Returns the checkpoint of a stage, or the folder that is named instead of one."""
    return made[source].checkpoint if source in made else source

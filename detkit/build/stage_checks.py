"""The checks of a training in stages: before its first step, and when it is resumed."""

import gc
import os
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from detkit.build.data import build_dataset, build_evaluator, build_transforms
from detkit.build.left_out import filter_of
from detkit.build.model import build_model, choose_operators, detector_of
from detkit.build.sections import check_norms, check_parts, check_sections
from detkit.build.stage import Stage
from detkit.build.start import check_start
from detkit.build.train_step import build_train_step
from detkit.checkpoints import CONFIG, FOLDER, Checkpoint, numbered
from detkit.config import Config, place, require
from detkit.config.yaml import read_yaml
from detkit.construct import construct
from detkit.data.one_class import OneClass
from detkit.device import find_device
from detkit.errors import CheckpointError, ConfigError
from detkit.registry import HOOKS, SCHEDULES
from detkit.runner.freezing import Freezing
from detkit.runner.intervals import read_interval
from detkit.runner.optimizer import Optimizer
from detkit.runner.options import TrainOptions
from detkit.runner.time_budget import TimeBudget

Shapes = Dict[str, Tuple[int, ...]]  # of weights, by name


def check_networks(config: Config, stages: Sequence[Stage]) -> List[str]:
    """Builds the networks of all stages and of the joined detector, without pretrained weights.

    Returns the parts of the joined detector that have weights.

    Raises ConfigError for a section that cannot be built, and for a part whose weights have another
    shape in the last stage that has it than in the joined detector.
    """
    choose_operators(config, find_device("cpu"))
    names = tuple(build_dataset(config, "train").class_names)
    whole = _shapes(config, names)
    last: Dict[str, Tuple[Stage, Shapes]] = {}
    for stage in stages:
        gc.collect()  # a network is made of circles
        last.update({part: (stage, found) for part, found in _shapes(stage.config, names).items()})
    for part, (stage, found) in last.items():
        if found != whole.get(part, found):
            raise ConfigError(
                f"{place(config, 'stages')}: expected the {part} of the joined detector in the "
                f"last stage that has one, found one of other weights in {stage.name!r}; give both "
                "the same arguments"
            )
    return list(whole)


def check_same_start(folder: str, config: Config) -> None:
    """Raises CheckpointError if a stage in ``folder`` began from other files than it would now.

    The weights and proposals that it began from are named after the step that an earlier stage
    ended with. A stage without a checkpoint has not begun.
    """
    if not numbered(os.path.join(folder, FOLDER)):
        return
    try:
        old = _taken(read_yaml(os.path.join(folder, CONFIG)))
    except ConfigError as error:
        raise CheckpointError(f"{error}; use another --work-dir DIR") from error
    new = _taken(config)
    if old != new:
        changes = [f"{key}: {old.get(key)} before, {new.get(key)} now" for key in {**old, **new}]
        listed = "\n  ".join(sorted(set(changes)))
        raise CheckpointError(
            f"{folder}: expected what the stage began from, found something else:\n  {listed}\n"
            "An earlier stage was changed; begin another run with --work-dir DIR"
        )


def goes_on(config: Config, end: Checkpoint) -> bool:
    """Returns whether a stage that ended with the checkpoint ``end`` is longer by ``config``."""
    options: TrainOptions = construct(TrainOptions, config["train"])
    length = options.length
    if isinstance(length, TimeBudget):
        if end.spent:
            length.watch.restore(end.spent)
        length.start(end.progress.step)
    is_patient = options.patience is None or end.stale < options.patience
    return is_patient and not length.reached(end.progress)


def _shapes(config: Config, names: Sequence[str]) -> Dict[str, Shapes]:
    """Builds all that a training builds without data; returns {part: shapes of its weights}."""
    check_sections(config)
    check_parts(config)
    check_norms(config["model"])
    options: TrainOptions = construct(TrainOptions, require(config, "train", dict))
    _check_settings(config, options)
    names = names if detector_of(config).TELLS_CLASSES else OneClass.class_names
    model = build_model(config, names, find_device("cpu"), pretrained=False)
    build_train_step(config, model, len(names))
    check_start(model, config["train"])
    Optimizer(model, options)
    Freezing(model, options.freeze)
    parts = model.weights_of_parts()
    return {
        part: {name: weight.shape for name, weight in weights.items()}
        for part, weights in parts.items()
    }


def _check_settings(config: Config, options: TrainOptions) -> None:
    """Raises ConfigError for a schedule, evaluator, filter, transform, hook or interval."""
    SCHEDULES.build(options.schedule)
    build_evaluator(config)
    filter_of(config)
    for split in ("train", "val"):
        build_transforms(config, split)
    for node in options.hooks:
        HOOKS.build(node)
    for interval in (options.evaluate_every, options.checkpoint_every):
        read_interval(interval)


def _taken(config: Any) -> Dict[str, str]:
    """Returns {key: name of the file or folder} of what a stage takes from others."""
    named = _mapping(config, "train").get("start_from")
    taken = named if isinstance(named, dict) else {"": named} if named else {}
    found = {f"train.start_from.{part}".rstrip("."): path for part, path in taken.items()}
    for split in ("train", "val"):
        key = f"{split}_proposals"
        path = _mapping(config, "data", key).get("path")
        found.update({f"data.{key}": path} if path else {})
    return {key: os.path.basename(str(path)) for key, path in found.items()}


def _mapping(node: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}

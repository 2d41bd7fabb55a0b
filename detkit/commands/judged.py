"""The inputs of ``detkit report``: detections, with what is known of the detector behind them."""

import argparse
import os
import sys
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

from detkit.build import build_loader, open_config
from detkit.commands.config import one_line
from detkit.commands.test import name_of, results_folder
from detkit.commands.timing import take_turns
from detkit.config import Config, leaves
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import detect_dataset
from detkit.detections.results import load_results
from detkit.device import find_device
from detkit.environment import environment_of
from detkit.errors import CheckpointError, ConfigError
from detkit.export.runtimes.choice import is_exported
from detkit.loading import AnyDetector, config_and_checkpoint, open_detector
from detkit.report import curves_of_training, environment_of_run

TIMED = 8  # images


class Judged(NamedTuple):
    """The detections of an input, and the values of a summary that they do not tell."""

    name: str
    detections: Dict[Any, Detections]
    speed: Optional[Dict[str, Any]]
    training: Optional[List[Dict[str, Any]]]
    about: Dict[str, Any]


def config_that_judges(
    paths: Sequence[str], config: Optional[str], overrides: Iterable[str]
) -> Config:
    """Returns the config whose data and evaluator judge: the given one, or that of the first run.

    Raises ConfigError if there is neither.
    """
    if config is not None:
        return open_config(config, overrides)
    for path in paths:
        if not is_exported(path) and not _is_results(path):
            return open_config(config_and_checkpoint(path)[0], overrides)
    raise ConfigError(
        "--config: expected the config whose data the detections are of, because there is no run "
        f"among {', '.join(paths)}; found none"
    )


def detections_of(path: str, config: Config, dataset: Dataset, args: argparse.Namespace) -> Judged:
    """Returns what is judged of a run, a checkpoint, an export or a file of results.

    config: that of ``config_that_judges``, with which an export reads its images.
    """
    if _is_results(path):
        about: Dict[str, Any] = {"config": settings(config)}
        return Judged(path, load_results(path, dataset), None, None, about)
    checkpoint = path
    if not is_exported(path):
        own, checkpoint = config_and_checkpoint(path)
        config = open_config(own, args.overrides)
    return _detected(path, checkpoint, config, dataset, args)


def _detected(
    path: str, checkpoint: str, config: Config, dataset: Dataset, args: argparse.Namespace
) -> Judged:
    detector = open_detector(config, checkpoint, runtime=args.runtime, device=args.device)
    if tuple(dataset.class_names) != detector.class_names:
        raise CheckpointError(
            f"{path}: expected the classes of data.{args.split}, {list(dataset.class_names)}, in "
            f"this order; found {list(detector.class_names)}"
        )
    loader = build_loader(config, args.split, dataset, args.batch_size)
    print(f"{path}: detecting in {len(dataset)} images", flush=True)
    detections = detect_dataset(detector, loader)
    assert detections is not None  # nothing interrupts it
    for image_id, reason in loader.skipped.items():
        print(f"skipped {image_id}: {reason}", file=sys.stderr)
    folder = results_folder(checkpoint)
    about = {
        "config": settings(config),
        "environment": environment_of(config.project_root, find_device("auto")),
        "trained": environment_of_run(folder),
        "checkpoint": name_of(checkpoint),
        **chosen(detector),
    }
    ids = [dataset.annotation(index).image_id for index in range(len(dataset))]
    readable = [index for index, image_id in enumerate(ids) if image_id not in loader.skipped]
    speed = _speed(detector, [_image(dataset, index) for index in readable[:TIMED]])
    return Judged(path, detections, speed, curves_of_training(folder), about)


def chosen(detector: AnyDetector) -> Dict[str, Any]:
    """Returns {"threshold": {"text", "score"}} of a detector, or nothing if it has none.

    "score" is None if each class has its own.
    """
    if detector.threshold is None:
        return {}
    scores = detector.threshold.scores
    score = scores[0] if len(scores) == 1 else None
    return {"threshold": {"text": str(detector.threshold), "score": score}}


def settings(config: Config) -> List[Dict[str, str]]:
    """Returns {"key", "value", "where"} of each value of a config.

    The places are within the folder that all files of the config have in common: a page is given
    to others, to whom the folders of this machine say nothing.
    """
    values = list(leaves(config))
    files = [where.rpartition(":")[0] for _, _, where in values]
    folders = {os.path.dirname(os.path.abspath(each)) for each in files if os.path.isfile(each)}
    common = os.path.join(os.path.commonpath(folders), "") if folders else ""
    return [
        {
            "key": key,
            "value": one_line(value),
            "where": os.path.relpath(where, common) if os.path.isfile(file) else where,
        }
        for (key, value, where), file in zip(values, files)
    ]


def _speed(detector: AnyDetector, images: Sequence[Any]) -> Optional[Dict[str, Any]]:
    """Returns images a second and milliseconds of each stage; None if it takes proposals."""
    if detector.takes_proposals or not images:
        return None
    (times,) = take_turns([detector], images, batch=1, rounds=1)
    stages = {stage: float(each.mean()) for stage, each in times.stages.items()}
    return {"images_per_second": 1000 / sum(stages.values()), "milliseconds": stages}


def _image(dataset: Dataset, index: int) -> Any:
    path = getattr(dataset, "image_path", None)  # readers have it, the protocol of datasets not
    return dataset.image(index) if path is None else path(index)


def _is_results(path: str) -> bool:
    return path.endswith(".json") and not os.path.isdir(path)

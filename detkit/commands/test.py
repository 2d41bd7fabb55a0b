"""Evaluates a checkpoint or an export: ``detkit test``."""

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from detkit.build import build_dataset, build_evaluator, build_loader, open_config
from detkit.build.model import detector_of
from detkit.checkpoints import folder_of, write_threshold
from detkit.checkpoints.names import THRESHOLD
from detkit.commands.arguments.test import Least
from detkit.commands.predict import in_tiles
from detkit.commands.sources import model_of
from detkit.config import Config
from detkit.data import Dataset
from detkit.data.loader import Loader
from detkit.data.tiling import whole_images
from detkit.data.writers.coco import write_truth
from detkit.detections import Detections
from detkit.detections.of_dataset import detect_dataset
from detkit.detections.proposal_files import check_written, is_proposal_file
from detkit.detections.results import save_results
from detkit.errors import CheckpointError, ConfigError, DataError, ExportError
from detkit.evaluate import format_table
from detkit.evaluate.choose import by_class, threshold_by
from detkit.evaluate.judged import Judged, judge, rule_of
from detkit.evaluate.metrics import BESIDE, save_metrics
from detkit.export import manifest
from detkit.export.onnx_manifest import write_onnx_threshold
from detkit.export.runtimes.choice import is_export
from detkit.export.runtimes.names import ONNX, ONNX_INT8, ONNX_NNCF, is_onnx
from detkit.files.disk import make_folder
from detkit.loading import AnyDetector, open_detector
from detkit.threshold import Threshold
from detkit.wording import did_you_mean, first_few


def main(args: argparse.Namespace) -> None:
    """Detects, evaluates, writes result.json."""
    if args.out:
        check_written(args.out)
    args.config, args.checkpoint = model_of(args)
    config = open_config(args.config, args.overrides)
    detector = open_detector(config, args.checkpoint, args.tta, args.runtime, args.device)
    run_dir = results_folder(args.checkpoint)
    if args.out and is_proposal_file(args.out) and detector_of(config).TELLS_CLASSES:
        raise ConfigError(
            f"--out {args.out}: expected a .json file, because the detector "
            f"{config['model']['type']!r} has classes, which an .npz does not keep; found an .npz"
        )
    dataset = build_dataset(config, args.split)
    if tuple(dataset.class_names) != detector.class_names:
        raise CheckpointError(
            f"{args.checkpoint}: expected the classes of data.{args.split}, "
            f"{list(dataset.class_names)}, in this order; found {list(detector.class_names)}"
        )
    loader = loader_of(args, config, dataset)
    for folder in (args.work_dir or run_dir, os.path.dirname(args.out or "") or "."):
        make_folder(folder)
    detections = detect_dataset(in_tiles(detector, args), loader)
    assert detections is not None  # nothing interrupts it
    for image_id, reason in loader.skipped.items():
        print(f"skipped {image_id}: {reason}", file=sys.stderr)
    if args.out:
        save(args.out, detections, dataset)
    evaluator = build_evaluator(config)
    judged = judge(evaluator, dataset, detections)
    chosen = choose(args, judged, detector)
    threshold, rule = chosen.threshold or detector.threshold, rule_of(evaluator)
    classes = by_class(judged, dataset.class_names, threshold, args.split, rule)
    result = {**judged.metrics, **classes}
    print(format_table(result))
    about = {"split": args.split, "checkpoint": name_of(args.checkpoint), **counts(loader)}
    print(f"written: {save_metrics(args.work_dir or run_dir, result, file_name(args), about)}")
    finish(args, result, chosen)


def loader_of(args: argparse.Namespace, config: Config, dataset: Dataset) -> Loader:
    """Returns the Loader of the batches that the detector of the arguments takes."""
    if args.tiles is None:
        return build_loader(config, args.split, dataset, args.batch_size, as_on_disk=args.tta)
    return build_loader(config, args.split, dataset, 1, as_on_disk=True, batched=whole_images)


def save(path: str, detections: Dict[Any, Detections], dataset: Dataset) -> None:
    """Writes the detections, and beside results in COCO's format the objects."""
    save_results(path, detections, dataset)
    if not is_proposal_file(path):
        write_truth(dataset, Path(path).with_suffix(".truth.json"))


def file_name(args: argparse.Namespace) -> str:
    """Returns the name of the file of the figures, which those of data.train do not replace."""
    words = ["result"] + ["train"] * (args.split == "train") + ["tta"] * args.tta
    words += ["tiles"] * (args.tiles is not None)
    return f"{'_'.join(words)}.json"


class Chosen(NamedTuple):
    """The Threshold that --threshold chooses, or the reason why it chooses none."""

    threshold: Optional[Threshold] = None
    failure: Optional[DataError] = None


def choose(args: argparse.Namespace, judged: Judged, detector: AnyDetector) -> Chosen:
    """Returns the threshold by the rule of the arguments, if there is one."""
    if args.threshold is None:
        return Chosen()
    names = detector.class_names
    try:
        return Chosen(threshold_by(args.threshold, judged.hits, names, args.split, args.per_class))
    except DataError as error:
        return Chosen(failure=error)


def write_chosen(folder: str, threshold: Threshold) -> str:
    """Writes the threshold into an export, its .onnx, or a checkpoint; returns the file's path."""
    if is_onnx(folder):
        write_onnx_threshold(folder, threshold)
        return folder
    if is_export(folder):
        manifest.write_threshold(folder, threshold)
        for path in (os.path.join(folder, name) for name in (ONNX, ONNX_INT8, ONNX_NNCF)):
            if os.path.lexists(path):
                _write_beside(path, threshold)
        return os.path.join(folder, manifest.MANIFEST)
    checkpoint = folder_of(folder)
    write_threshold(checkpoint, threshold)
    return os.path.join(checkpoint, THRESHOLD)


def _write_beside(path: str, threshold: Threshold) -> None:
    """Writes the threshold into an .onnx beside model.json, or says why not."""
    try:
        write_onnx_threshold(path, threshold)
    except ExportError as error:  # such as one of an earlier version
        print(f"not changed: {error}", file=sys.stderr)
    else:
        print(f"written: {path}: {threshold}")


def finish(args: argparse.Namespace, result: Mapping[str, Any], chosen: Chosen) -> None:
    """Writes the threshold; raises DataError for one that was not found, and for --fail-under."""
    if chosen.failure:
        raise chosen.failure
    if chosen.threshold:
        print(f"written: {write_chosen(args.checkpoint, chosen.threshold)}: {chosen.threshold}")
        hint = lost_classes(result)
        if hint and not args.per_class:
            print(f"{hint}; --per-class chooses a score for each class", file=sys.stderr)
    check_least(result, args.fail_under)


def lost_classes(result: Mapping[str, Any]) -> str:
    """Returns which classes have objects and no detection that reaches the threshold, or ""."""
    rows = result.get("classes", {}).items()
    lost = [name for name, row in rows if row["objects"] and math.isnan(row["precision"])]
    return f"at this score, nothing is found of {first_few(lost)}" if lost else ""


def check_least(result: Mapping[str, Any], wanted: Sequence[Least]) -> None:
    """Raises DataError, in one line, if a figure is less than wanted, nan or unknown."""
    faults = []
    for key, least in wanted:
        found = figure(result, key)
        if not found >= least:
            shown = "none, as there are no objects" if math.isnan(found) else f"{found:.4f}"
            faults.append(f"{key}: expected at least {least:g}, found {shown}")
    if faults:
        raise DataError(f"--fail-under: {'; '.join(faults)}")


def figure(result: Mapping[str, Any], key: str) -> float:
    """Returns a figure of a result: AP50, or classes/NAME/recall. Raises DataError."""
    known = {name: value for name, value in result.items() if name not in BESIDE}
    for name, row in result.get("classes", {}).items():
        known.update({f"classes/{name}/{each}": row[each] for each in row})
    if key not in known:
        raise DataError(
            f"--fail-under: expected a figure of result.json, found {key!r}"
            f"{did_you_mean(key, known) or f'; known are {first_few(list(known), 12)}'}"
        )
    return float(known[key])


def counts(loader: Loader) -> Dict[str, Any]:
    """Returns the numbers of images, of objects that count, and of images that were skipped."""
    dataset = loader.dataset
    annotations = (dataset.annotation(index) for index in range(len(dataset)))
    return {
        "images": len(dataset),
        "objects": sum(int((~one.difficult).sum()) for one in annotations),
        "skipped": len(loader.skipped),
    }


def name_of(path: str) -> str:
    """Returns the name of an export's folder or .onnx, or of the checkpoint that a path means."""
    return os.path.basename(os.path.abspath(path if is_onnx(path) else folder_of(path)))


def results_folder(path: str) -> str:
    """Returns the folder of the results: an export's own, an .onnx's, or that of the run."""
    if is_onnx(path):
        return os.path.dirname(os.path.abspath(path))
    return path if is_export(path) else os.path.dirname(os.path.dirname(os.path.abspath(path)))

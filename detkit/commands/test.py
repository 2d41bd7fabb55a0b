"""Evaluates a checkpoint or an export: ``detkit test``."""

import argparse
import os
import sys
from typing import Any, Dict

from detkit.build import build_dataset, build_evaluator, build_loader, open_config
from detkit.build.model import detector_of
from detkit.checkpoints import folder_of
from detkit.data.loader import Loader
from detkit.detections.of_dataset import detect_dataset
from detkit.detections.proposal_files import check_written, is_proposal_file
from detkit.detections.results import save_results
from detkit.errors import CheckpointError, ConfigError
from detkit.evaluate import format_table
from detkit.evaluate.metrics import save_metrics
from detkit.files.disk import make_folder
from detkit.loading import config_and_checkpoint, is_export, open_detector


def main(args: argparse.Namespace) -> None:
    """Detects, evaluates, writes result.json."""
    if args.out:
        check_written(args.out)
    if args.checkpoint is None:
        args.config, args.checkpoint = config_and_checkpoint(args.config)
    config = open_config(args.config, args.overrides)
    detector = open_detector(config, args.checkpoint, args.tta)
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
    loader = build_loader(config, args.split, dataset, args.batch_size, as_on_disk=args.tta)
    for folder in (args.work_dir or run_dir, os.path.dirname(args.out or "") or "."):
        make_folder(folder)
    detections = detect_dataset(detector, loader)
    assert detections is not None  # nothing interrupts it
    for image_id, reason in loader.skipped.items():
        print(f"skipped {image_id}: {reason}", file=sys.stderr)
    if args.out:
        save_results(args.out, detections, dataset)
    metrics = build_evaluator(config)(dataset, detections)
    print(format_table(metrics))
    name = "_".join(["result"] + ["train"] * (args.split == "train") + ["tta"] * args.tta)
    about = {"split": args.split, "checkpoint": name_of(args.checkpoint), **counts(loader)}
    print(f"written: {save_metrics(args.work_dir or run_dir, metrics, f'{name}.json', about)}")


def counts(loader: Loader) -> Dict[str, Any]:
    """Returns the numbers of images, of objects that count, and of images that were skipped."""
    dataset = loader.dataset
    annotations = (dataset.annotation(index) for index in range(len(dataset)))
    return {
        "images": len(dataset),
        "objects": sum(int((~one.difficult).sum()) for one in annotations),
        "skipped": len(loader.skipped),
    }


def name_of(folder: str) -> str:
    """Returns the name of an export's folder, or of the checkpoint that a path means."""
    return os.path.basename(os.path.abspath(folder_of(folder)))


def results_folder(folder: str) -> str:
    """Returns the folder of the results of an export, which is itself, or of a checkpoint's run."""
    return (
        folder if is_export(folder) else os.path.dirname(os.path.dirname(os.path.abspath(folder)))
    )

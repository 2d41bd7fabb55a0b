"""Evaluates a checkpoint or an export on the images of data.val or data.train."""

import argparse
import os
import sys
from typing import Optional, Sequence

from detkit.build import build_dataset, build_evaluator, build_loader, open_config
from detkit.build.model import detector_of
from detkit.cli import common_arguments, positive, run, split_argument, tta_argument
from detkit.detections.of_dataset import detect_dataset
from detkit.detections.proposal_files import check_written, is_proposal_file
from detkit.detections.results import save_results
from detkit.errors import CheckpointError, ConfigError
from detkit.evaluate import format_table
from detkit.evaluate.metrics import save_metrics
from detkit.files.disk import make_folder
from detkit.loading import is_export, open_detector


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Detects, evaluates, writes result.json."""
    args = parsed(argv)
    if args.out:
        check_written(args.out)
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
    for image_id, reason in loader.skipped.items():
        print(f"skipped {image_id}: {reason}", file=sys.stderr)
    if args.out:
        save_results(args.out, detections, dataset)
    metrics = build_evaluator(config)(dataset, detections)
    print(format_table(metrics))
    name = "_".join(["result"] + ["train"] * (args.split == "train") + ["tta"] * args.tta)
    print(f"written: {save_metrics(args.work_dir or run_dir, metrics, f'{name}.json')}")


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="the folder of a checkpoint or an export",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the detections as COCO results JSON, or, for an RPN, as FILE.npz, which is "
        "far smaller",
    )
    split_argument(parser)
    tta_argument(parser)
    parser.add_argument(
        "--work-dir",
        metavar="DIR",
        help="of result.json; default: the run's or export's",
    )
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")
    return parser.parse_args(argv)


def results_folder(folder: str) -> str:
    """Returns the folder of the results of an export, which is itself, or of a checkpoint's run."""
    return (
        folder if is_export(folder) else os.path.dirname(os.path.dirname(os.path.abspath(folder)))
    )


if __name__ == "__main__":
    sys.exit(run(main))

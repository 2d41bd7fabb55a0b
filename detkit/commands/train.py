"""Trains a detector. Example: python tools/train.py configs/faster_rcnn_vgg16.yaml"""

import argparse
import contextlib
import os
import sys
from typing import Optional, Sequence, Union

from detkit.build import open_config
from detkit.build.staged import StagedTraining
from detkit.build.training import Training
from detkit.cli import common_arguments, run
from detkit.evaluate import format_table
from detkit.evaluate.metrics import save_metrics
from detkit.files.disk import make_folder
from detkit.files.lock import locked
from detkit.preflight import preflight


def arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument("--work-dir", metavar="DIR", help="default: work_dirs/NAME of CONFIG")
    parser.add_argument(
        "--resume",
        metavar="auto|PATH",
        help="continue from the last checkpoint of the work folder (auto), or from a given one",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --resume: accept a config that was changed in what the training means",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="take one step, evaluate one batch, write no files",
    )
    args = parser.parse_args(argv)
    if args.force and args.resume is None:
        parser.error("--force belongs to --resume; a new run has no earlier config")
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Checks config and data, then takes a dry run, or trains to the end."""
    args = arguments(argv)
    config = open_config(args.config, args.overrides)
    for failure in config.plugin_report.failures:
        print(f"warning: a plugin cannot be used: {failure}", file=sys.stderr)
    training: Union[Training, StagedTraining]
    if config.get("stages") is None:
        training = Training(config, config.plugin_report.files)
        print("\n".join(preflight(training)), flush=True)
    else:
        training = StagedTraining(config, config.plugin_report.files, describe=preflight)
    if args.dry_run:
        print(training.dry_run())
        return
    name = os.path.splitext(os.path.basename(args.config))[0]
    work_dir = args.work_dir or os.path.join("work_dirs", name)
    make_folder(work_dir)
    with locked(work_dir):
        metrics = training.train(work_dir, args.resume, args.force)
        if metrics is None:
            _tell("stopped before an evaluation; tools/test.py evaluates a checkpoint")
            return
        written = save_metrics(work_dir, metrics)
        _tell(f"{format_table(metrics)}\nwritten: {written}")


def _tell(text: str) -> None:
    # The terminal may have been closed during the training, which is no failure of it.
    with contextlib.suppress(OSError):
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))

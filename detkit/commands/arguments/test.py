"""Evaluates a run, a checkpoint or an export on the images of data.val, data.test or data.train.

A training chooses its best checkpoint on data.val. Report what --split test finds. result.json
has the figures of the last evaluation on data.val or data.test, with the name of the split.
"""

import argparse
import os
from typing import Optional

from detkit.cli import common_arguments, positive, split_argument, tta_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(
        parser, config="a run's folder, whose best checkpoint is taken, or a config and CHECKPOINT"
    )
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        nargs="?",
        help="the folder of a checkpoint or an export, beside a config",
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


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if CHECKPOINT is missing beside the file or the name of a config."""
    if args.checkpoint is None and not os.path.lexists(args.config):
        return (
            f"CHECKPOINT: expected a run's folder alone, or a config and the folder of a "
            f"checkpoint or an export, found {args.config!r} alone, which is no folder"
        )
    return None

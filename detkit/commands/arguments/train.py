"""Trains a detector. Example: detkit train faster_rcnn_vgg16"""

import argparse
from typing import Optional

from detkit.cli import common_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
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


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if --force is given without --resume."""
    if args.force and args.resume is None:
        return "--force belongs to --resume; a new run has no earlier config"
    return None

"""Trains a detector. Example: detkit train faster_rcnn_vgg16

On a folder of images and annotations of your own: detkit train --data photos --time 30m, and with
--from fasterrcnn_mobilenet_v3_large_320_fpn, beginning with a detector that was trained on COCO.
"""

import argparse
from typing import Optional

from detkit.cli import common_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(
        parser,
        config="the YAML file that names the parts; --from and --data imply one",
        required=False,
    )
    _fine_tuning(parser)
    parser.add_argument(
        "--work-dir",
        metavar="DIR",
        help="default: work_dirs/NAME of CONFIG, or of --from or --data",
    )
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


def _fine_tuning(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that stand for values of a config."""
    parser.add_argument(
        "--from",
        dest="start",
        metavar="NAME|PATH",
        help="begin with these weights: a run, a checkpoint, one of torchvision's detectors by "
        "its name, or its file",
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="train on this folder of images and annotations; detkit init describes what is "
        "recognised, and has more settings",
    )
    parser.add_argument(
        "--time",
        metavar="TIME",
        help="how long the training takes, such as 45m or 1h30m; replaces the config's epochs",
    )


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if nothing says what to train, or if --force is without --resume."""
    if not (args.config or args.start or args.data):
        return "CONFIG: expected a config, or --from or --data, found none"
    if args.force and args.resume is None:
        return "--force belongs to --resume; a new run has no earlier config"
    return None

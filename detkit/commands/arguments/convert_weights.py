"""Converts a detector of another framework into a config and a checkpoint."""

import argparse
from typing import Optional

from detkit.cli import debug_argument

FRAMEWORKS = ("torchvision", "gluoncv", "detectron2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("framework", choices=FRAMEWORKS, help="whose detector it is")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="its name there, such as fasterrcnn_resnet50_fpn",
    )
    parser.add_argument(
        "weights",
        metavar="FILE",
        nargs="?",
        help="a path, or a URL with #sha256=; default: the published file of torchvision's MODEL",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    parser.add_argument(
        "--classes",
        metavar="NAME",
        nargs="+",
        help="in the file's order; default: COCO's or VOC's",
    )
    debug_argument(parser)


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if FILE is missing for a framework whose files have no known place."""
    if args.weights is None and args.framework != "torchvision":
        return (
            f"FILE: expected the weights that {args.framework} publishes for {args.model}, found "
            "none"
        )
    return None

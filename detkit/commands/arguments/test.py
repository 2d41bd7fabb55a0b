"""Evaluates a checkpoint or an export on the images of data.val or data.train."""

import argparse

from detkit.cli import common_arguments, positive, split_argument, tta_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
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

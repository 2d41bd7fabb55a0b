"""Draws the detections of a checkpoint or an export into images: boxes, names, scores."""

import argparse

from detkit.cli import common_arguments, proposals_argument, tta_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(parser)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="the folder of a checkpoint or an export"
    )
    parser.add_argument(
        "images", metavar="IMAGE_OR_FOLDER", nargs="+", help="files, and folders of images"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the drawn images")
    parser.add_argument(
        "--score",
        type=float,
        metavar="S",
        help="the least score; default: the threshold that detkit test --threshold chose, or else "
        "0.5",
    )
    proposals_argument(parser)
    tta_argument(parser)

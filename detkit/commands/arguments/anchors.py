"""Compares anchors with the boxes of a dataset, and proposes sizes, ratios and strides.

The boxes are those of data.train, at the size at which the network sees them. The last lines are
YAML for a config. A folder of data has no anchors yet: its boxes are compared with none.
"""

import argparse
from typing import Optional

from detkit.cli import dataset_arguments, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    dataset_arguments(parser, "boxes are measured")
    parser.add_argument(
        "--short",
        type=positive,
        metavar="PIXELS",
        help="for a folder of data: the shorter side to which images are resized; default: they "
        "stay as they are",
    )
    parser.add_argument(
        "--long",
        type=positive,
        metavar="PIXELS",
        help="the most that the longer side may have then; default: 5/3 of --short",
    )


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message for --long without --short."""
    if args.long is not None and args.short is None:
        return "--long is for --short"
    return None

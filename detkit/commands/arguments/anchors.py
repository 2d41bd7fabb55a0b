"""Compares anchors with the boxes of a dataset, and proposes sizes, ratios and strides.

The boxes are those of data.train, at the size at which the network sees them. A table has the
recall at IoU 0.5 and 0.7, of the anchors of the config, of the proposed ones, and of as many shapes
by k-means. It is the best possible one, of anchors around the centres of the objects, and that on
the grid. The last lines are YAML for a config. A folder of data has no anchors yet: its boxes are
compared with none.
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
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw the shapes of boxes and anchors, and the recall over the IoU, into a .png",
    )


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message for --long without --short."""
    if args.long is not None and args.short is None:
        return "--long is for --short"
    return None

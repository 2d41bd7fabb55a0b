"""Draws images with their objects into files and pages, to look at before a training.

The folder gets a page, index.html, which a browser opens from the disk, the pictures, and sheets
of twelve of them. Difficult objects are dashed. With a config, inputs.html is one file that shows
the images as the network will see them: after the transforms, with boxes, masks, keypoints,
ignored regions, and the anchors that training matches with each object. Its key ? lists its keys.
"""

import argparse
from typing import Optional

from detkit.cli import dataset_arguments, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    dataset_arguments(parser, "images are drawn")
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="browse",
        help="a new folder, or an earlier one of this command; default: browse",
    )
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--count", type=positive, default=48, metavar="N", help="images that are drawn; default: 48"
    )
    number.add_argument("--limit", type=positive, metavar="N", help="another name of --count")
    parser.add_argument(
        "--seed", type=int, help="draw this choice of images; default: the first ones"
    )
    parser.add_argument(
        "--transforms",
        action="store_true",
        help="let the pictures and sheets, too, show what training sees in its first epoch, after "
        "data.train_transforms",
    )


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message for a negative seed."""
    if args.seed is not None and args.seed < 0:
        return f"--seed: expected a whole number of at least 0, found {args.seed}"
    return None

"""Checks a dataset, all its splits together: detkit data check SOURCE.

Every fault is counted and listed by its kind: files that are missing, malformed or damaged, boxes
without area, outside, tiny or doubled, polygons that cross themselves, copies of images within and
across splits, sizes and EXIF orientations that the annotations contradict, and classes that are
unused, in some splits alone, or spelt in two ways. SOURCE is never changed.

The exit status is 0 for a dataset without faults, 1 if there are some, and 2 if SOURCE cannot be
read.
"""

import argparse
from typing import Optional

from detkit.cli import debug_argument
from detkit.commands.arguments.convert import IMAGES, layout_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("action", choices=("check",), help="what is done with the dataset")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder, its file of annotations, or a config, whose data.train, val and test are "
        "checked",
    )
    parser.add_argument(
        "--fix",
        metavar="DIR",
        help="write a corrected copy in COCO's layout into this new or empty folder, and say what "
        "it changed and what it left; DIR/faults.json lists the faults",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all faults, one by one, into this file"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="decode no image: damage within image files and images that are nearly the same are "
        "not found",
    )
    layout_argument(parser)
    parser.add_argument(
        "--images",
        choices=IMAGES,
        help=f"how the files of images get into the corrected copy; default: {IMAGES[0]}",
    )
    debug_argument(parser)


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns what is wrong with the arguments together, or None."""
    return "--images belongs to --fix" if args.images and not args.fix else None

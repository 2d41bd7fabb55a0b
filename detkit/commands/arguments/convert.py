"""Converts a dataset into another layout. The layout of SOURCE is recognised.

The folder DIR is written under another name first: it is complete or absent. SOURCE and its images
are never changed.
"""

import argparse

from detkit.cli import debug_argument

# The names in detkit.data, whose modules take longer to import than a help text may take.
FORMATS = ("coco", "yolo", "voc", "labelme", "csv", "recordio")
LAYOUTS = (
    "voc",
    "voc-folder",
    "coco",
    "yolo",
    "labelme",
    "cvat",
    "labelstudio",
    "openimages",
    "csv",
    "jsonl",
    "recordio",
    "imagenet",
)
IMAGES = ("copy", "hardlink", "symlink")


def layout_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--layout``."""
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="the layout of the folder, if it has files of several",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("source", metavar="SOURCE", help="a folder, or its file of annotations")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the new layout")
    parser.add_argument("--out", metavar="DIR", required=True, help="a new or an empty folder")
    layout_argument(parser)
    parser.add_argument(
        "--images",
        choices=IMAGES,
        default=IMAGES[0],
        help="whether the files of images are copied (the default) or linked",
    )
    debug_argument(parser)

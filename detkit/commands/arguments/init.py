"""Writes a config and splits for a folder of images. Example: detkit init photos --out mine

The layout of the annotations is recognised: COCO, YOLO, VOC, LabelMe, CVAT, Label Studio, Open
Images, CSV and others. Splits that the folder has are kept, and train, val and test that it lacks
are made. FOLDER is never changed, and the images stay in it.
"""

import argparse
from typing import List

from detkit.cli import debug_argument
from detkit.commands.arguments.convert import layout_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="a folder, or its file of annotations")
    parser.add_argument(
        "--out",
        metavar="DIR",
        required=True,
        help="a new folder, for config.yaml and the annotations of each split",
    )
    parser.add_argument(
        "--classes",
        metavar="NAME",
        nargs="+",
        help="the classes to find, separated by spaces or commas; default: all of the data",
    )
    parser.add_argument("--seed", type=int, default=0, help="another number gives other splits")
    layout_argument(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="write into a DIR that has files; files of the same names are kept under others",
    )
    debug_argument(parser)


def names_in(words: List[str]) -> List[str]:
    """Returns the names in the words of ``--classes``: "a,b" "c" are three."""
    names = [name.strip() for word in words for name in word.split(",")]
    return [name for name in names if name]

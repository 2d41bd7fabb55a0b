"""Pre-labels images with a detector, in files that a label tool imports; a person corrects them.

cvat: DIR/annotations.xml, for "Upload annotations", format CVAT 1.1, of a task with the images.
labelstudio: DIR/tasks.json with predictions and their scores, for "Import", and DIR/labels.xml, the
labelling config of its project. labelme: DIR with a JSON file beside each image; open the folder.
"""

import argparse
from typing import Optional

from detkit.cli import debug_argument, lacks_tiles, positive, tiles_arguments
from detkit.commands.arguments.predict import images_argument, runtime_arguments, score_argument

# The names in detkit.commands.label, which imports more than a help text may.
TOOLS = ("cvat", "labelstudio", "labelme")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "sources",
        metavar="IMAGES",
        nargs="+",
        help="image files, folders, patterns in quotation marks, or a .txt file of paths",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        required=True,
        help="the folder of a run, a checkpoint or an export, or an .onnx",
    )
    parser.add_argument("--to", choices=TOOLS, required=True, help="the label tool")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the files")
    score_argument(parser)
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")
    tiles_arguments(parser)
    images_argument(parser, "how images get into the folder of labelme")
    parser.add_argument(
        "--prefix",
        metavar="TEXT",
        help="labelstudio: what stands before an image's name in its address, such as "
        "https://host/photos/; default: /data/local-files/?d=, Label Studio's local storage, with "
        "the images' folder as its root",
    )
    runtime_arguments(parser)
    debug_argument(parser)


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message about arguments that do not go together."""
    if args.prefix is not None and args.to != "labelstudio":
        return f"--prefix: expected --to labelstudio, found --to {args.to}, which has no addresses"
    return lacks_tiles(args)

"""Detects in images, folders, videos, cameras and streams, and saves what is found.

  detkit predict MODEL SOURCE... --out DIR
  detkit predict CONFIG CHECKPOINT SOURCE... --out DIR

If the first word is a folder, it is MODEL: a run, whose best checkpoint is taken, a checkpoint, or
an export. An .onnx is MODEL, too. Otherwise the first word is a config, a file or a name, and the
second word is its checkpoint or export.
"""

import argparse
import os
from typing import List, Optional

from detkit.cli import (
    common_arguments,
    lacks_tiles,
    positive,
    proposals_argument,
    seconds,
    tiles_arguments,
    tta_argument,
)
from detkit.export.runtimes.names import AUTO, DEVICES, RUNTIMES, is_onnx

# The names in detkit.predictions.saves, whose modules take longer to import than a help may take.
FORMS = ("pictures", "video", "json", "coco", "yolo", "voc", "labelme", "csv", "crops")
IMAGES = ("symlink", "hardlink", "copy", "none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    common_arguments(
        parser,
        config="the folder of a run, a checkpoint or an export, or an .onnx; or a config, before "
        "CHECKPOINT",
        metavar="MODEL",
    )
    sources_argument(parser)
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the results")
    parser.add_argument(
        "--save",
        type=forms,
        metavar="FORM,FORM",
        help=f"what is saved, of {', '.join(FORMS)}; default: pictures of images, and a video of "
        "each video, camera and stream",
    )
    score_argument(parser)
    images_argument(
        parser,
        "how images get into the folders of coco, yolo, voc, labelme and csv; frames of a video "
        "become JPEGs",
    )
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")
    parser.add_argument(
        "--retry-for",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="open a lost camera or stream again until it was lost for so long (default: 60)",
    )
    tiles_arguments(parser)
    proposals_argument(parser)
    tta_argument(parser)
    runtime_arguments(parser)


def runtime_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--runtime`` and ``--device``."""
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="what runs an export: mxnet, or, with its .onnx, onnxruntime or openvino; default: "
        "mxnet for a folder, if it is installed; for an .onnx openvino, if it is installed",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=AUTO,
        help="default: auto, a GPU if the runtime can use one; gpu and cuda are the same; tensorrt "
        "is of onnxruntime",
    )


def sources_argument(parser: argparse.ArgumentParser) -> None:
    """Adds SOURCE, one or several."""
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="image files, folders, patterns in quotation marks ('photos/**/*.jpg'), a .txt file "
        "of paths, video files, the number of a camera, or an address (rtsp://, http://)",
    )


def score_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--score``."""
    parser.add_argument(
        "--score",
        type=float,
        metavar="S",
        help="the least score; default: the threshold that detkit test --threshold chose, or else "
        "0.5",
    )


def images_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--images``; what: the beginning of its help."""
    parser.add_argument(
        "--images",
        choices=IMAGES,
        default=IMAGES[0],
        help=f"{what}: as links to the files (symlink, the default; hardlink), as copies, or not "
        "at all",
    )


def forms(text: str) -> List[str]:
    """Parses ``--save``: forms separated by commas."""
    found = [each.strip() for each in text.split(",") if each.strip()]
    unknown = [each for each in found if each not in FORMS]
    if unknown or not found:
        wrong = repr(unknown[0] if unknown else text)
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(FORMS)}, found {wrong}")
    return list(dict.fromkeys(found))


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if SOURCE or --tiles is missing beside what needs it."""
    is_model = os.path.isdir(args.config) or is_onnx(args.config)
    if not is_model and len(args.sources) < 2:
        return (
            f"{args.config}: expected the folder of a run, a checkpoint or an export, an .onnx, "
            f"or a config before CHECKPOINT and SOURCE; found no folder, and {args.sources[0]!r} "
            "alone behind it"
        )
    return lacks_tiles(args)

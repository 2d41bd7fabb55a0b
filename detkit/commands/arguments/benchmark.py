"""Times a detector on this machine: images a second, and the milliseconds of each stage.

The detector is a run's, a checkpoint's or an export's. A config alone is timed with random weights,
which detect other things than trained ones. With --against, two detectors take turns on the same
images. With --forms, the forms of one detector are compared, each precision and file by each
runtime that is installed: its AP, time and memory. One of them is recommended. Stop other programs
before measuring. tools/benchmark.py, which is in the repository, is another program: it compares
detkit with other frameworks.
"""

import argparse
from typing import Optional

from detkit.cli import common_arguments, positive, share, split_argument
from detkit.commands.arguments.export import CALIBRATION
from detkit.commands.arguments.predict import runtime_arguments

MOST_LOSS = 0.005  # of AP: half a point


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(
        parser, config="a run's, a checkpoint's or an export's folder, an .onnx, or a config"
    )
    parser.add_argument(
        "--against", metavar="OTHER", help="a second detector of the same kinds, as a comparison"
    )
    parser.add_argument(
        "--pictures",
        metavar="IMAGE_OR_FOLDER",
        nargs="+",
        default=[],
        help="files, and folders of images; default: the first of data.val, or drawn shapes",
    )
    parser.add_argument(
        "--count", type=positive, default=8, metavar="N", help="images that are used; default: 8"
    )
    parser.add_argument(
        "--batches",
        type=positive,
        nargs="+",
        default=[1],
        metavar="B",
        help="numbers of images that go through the network at once; default: 1",
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="of each stage; default: one for each core"
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=5,
        metavar="N",
        help="how often each image is timed, after one round that is not; default: 5",
    )
    runtime_arguments(parser)
    _forms_arguments(parser)


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if an argument is given without the one that it belongs to."""
    own = {
        "--judged-by": args.judged_by,
        "--limit": args.limit,
        "--max-loss": args.max_loss,
        "--calib": args.calib,
        "--json": args.json,
    }
    given = [name for name, value in own.items() if value is not None]
    if given and not args.forms:
        return f"{given[0]} is for --forms"
    if args.forms and (args.against or args.batches != [1]):
        return f"{'--against' if args.against else '--batches'} is not for --forms"
    return None


def _forms_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--forms`` and what belongs to it."""
    parser.add_argument(
        "--forms",
        action="store_true",
        help="compare the forms of a run, which are exported into a temporary folder, or those of "
        "an export; each is in a process of its own, and all processes are in memory at once",
    )
    parser.add_argument(
        "--judged-by",
        metavar="CONFIG",
        help="with --forms: whose data and evaluator judge an export; default: that of the run, "
        "or, for an export, none: detections are then compared with those of float32 alone",
    )
    split_argument(parser)
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="with --forms: judge by the first N images of the split; default: all",
    )
    parser.add_argument(
        "--max-loss",
        type=share,
        metavar="AP",
        help="with --forms: the loss of AP, from 0 to 1, that a form may have to be recommended; "
        f"default: {MOST_LOSS}",
    )
    parser.add_argument(
        "--calib",
        type=positive,
        metavar="N",
        help="with --forms: images of data.train that INT8 of a run is calibrated by; default: "
        f"{CALIBRATION}",
    )
    parser.add_argument("--json", metavar="FILE", help="with --forms: write the figures as JSON")

"""Times a detector on this machine: images a second, and the milliseconds of each stage.

The detector is a run's, a checkpoint's or an export's. A config alone is timed with random weights,
which detect other things than trained ones. With --against, two detectors take turns on the same
images. Stop other programs before measuring. tools/benchmark.py, which is in the repository, is
another program: it compares detkit with other frameworks.
"""

import argparse

from detkit.cli import common_arguments, positive
from detkit.commands.arguments.predict import runtime_arguments


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

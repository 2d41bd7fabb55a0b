"""Writes a page about detections: metrics, curves, confusion matrix, errors, images, training.

The page is one file of HTML, which a browser opens from the disk and which loads nothing. A slider
moves the threshold of the score through its tables, curves and boxes. With several inputs, the
first is the baseline of the differences, and all are judged by the same data and rule.
"""

import argparse

from detkit.cli import debug_argument, positive, set_argument, split_argument
from detkit.commands.arguments.predict import runtime_arguments

EXAMPLES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "inputs",
        metavar="RUN|EXPORT|DETECTIONS",
        nargs="+",
        help="the folder of a run, a checkpoint or an export, an .onnx, or COCO results JSON, "
        "which detkit test --out writes",
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="the page, a .html file")
    parser.add_argument(
        "--config",
        metavar="CONFIG",
        help="whose data and evaluator judge, for exports and detections; default: that of the "
        "first run",
    )
    set_argument(parser, "the config and of each run's config")
    split_argument(parser)
    runtime_arguments(parser)
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")
    parser.add_argument(
        "--examples",
        type=_count,
        default=EXAMPLES,
        metavar="N",
        help="images that are shown of each kind, best, worst and most confused; 0 leaves them "
        f"out; default: {EXAMPLES}, at most 12",
    )
    debug_argument(parser)


def _count(text: str) -> int:
    """Parses a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, found {text!r}")
    return int(text)

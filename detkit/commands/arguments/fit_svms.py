"""Fits an R-CNN's linear SVMs and box regressors on the features of a trained checkpoint.

The SVMs and regressors become the last layers of the network, in a config and a checkpoint of their
own, which the other commands test, draw and export like any other.
"""

import argparse

from detkit.cli import common_arguments, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments; their defaults are those of ``detkit.fitting.FitOptions``."""
    common_arguments(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the folder of a checkpoint")
    parser.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    parser.add_argument(
        "--passes",
        type=positive,
        default=1,
        help="passes over the images in search of hard negatives (default: %(default)s)",
    )
    parser.add_argument(
        "--svm-c",
        type=_above_zero,
        default=1e-3,
        metavar="C",
        help="the weight of the SVMs' losses (default: %(default)s)",
    )
    parser.add_argument(
        "--ridge",
        type=_above_zero,
        default=1000.0,
        metavar="LAMBDA",
        help="the penalty of the box regressors (default: %(default)s)",
    )
    parser.add_argument(
        "--pairs",
        type=positive,
        default=2000,
        metavar="N",
        help="pairs of a proposal and an object that a class's regressor is fitted on, at most "
        "(default: %(default)s); each takes memory for the features of a region",
    )


def _above_zero(text: str) -> float:
    """Parses an argument that is a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return number

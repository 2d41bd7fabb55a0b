"""Evaluates detections that detkit test --out saved, or proposals, without the model.

Proposals in a file of their own (.npz, .mat) are judged by the config's evaluator if its detector
is an RPN. For any other detector the command prints their recall against their number.
"""

import argparse

from detkit.cli import common_arguments, split_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(parser, config="a run's folder, or the YAML file that names the parts")
    parser.add_argument(
        "results", metavar="RESULTS", help="COCO results JSON, or an .npz or .mat of proposals"
    )
    split_argument(parser)

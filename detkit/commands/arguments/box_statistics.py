"""Measures the box targets of a Fast R-CNN, and prints the config that normalises them."""

import argparse

from detkit.cli import common_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(parser)
    parser.add_argument(
        "--per-class", action="store_true", help="print a row for each class, not one for all"
    )

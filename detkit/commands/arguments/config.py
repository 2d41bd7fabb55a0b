"""Prints a config as detkit reads it, with its bases, --set and environment variables applied."""

import argparse

from detkit.cli import common_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(parser)
    parser.add_argument(
        "--origin",
        action="store_true",
        help="print for each value where it was written",
    )

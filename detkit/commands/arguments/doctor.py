"""Prints what detkit finds on this machine: packages, processor, compiler, GPU and operators."""

import argparse

from detkit.cli import debug_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument(
        "--build",
        action="store_true",
        help="compile detkit's operators, unless the cache has them, and print their path alone; "
        "python -m detkit.ops.build does the same",
    )
    alone.add_argument(
        "--sources",
        action="store_true",
        help="print the folder of the C++ program's sources alone, for cmake -S",
    )
    debug_argument(parser)

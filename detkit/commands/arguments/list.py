"""Lists the parts that a config can name, with their arguments, and the plugins in ./plugins."""

import argparse

from detkit.cli import debug_argument
from detkit.registry import REGISTRIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "kinds",
        metavar="KIND",
        nargs="*",
        help=f"of {', '.join(REGISTRIES)}; default: all",
    )
    debug_argument(parser)

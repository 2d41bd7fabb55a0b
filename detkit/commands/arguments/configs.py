"""Lists the configs that can be named on the command line, each with its title.

Those of the folder ./configs come first, then those that detkit ships. A title is the first
sentence of the comment that a config begins with.
"""

import argparse

from detkit.cli import debug_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    debug_argument(parser)

"""Compiles detkit's operators, if the cache has none yet: ``python -m detkit.ops.build``."""

import argparse
import sys
from typing import Optional, Sequence

from detkit.cli import debug_argument, run
from detkit.ops.compile import library


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Prints the path of the compiled library."""
    parser = argparse.ArgumentParser(prog="python -m detkit.ops.build", description=__doc__)
    debug_argument(parser)
    parser.parse_args(argv)
    print(library())


if __name__ == "__main__":
    sys.exit(run(main))

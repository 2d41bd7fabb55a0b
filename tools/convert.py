"""Converts a dataset into another layout. The layout of SOURCE is recognised."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "convert")

if __name__ == "__main__":
    sys.exit(run(main))

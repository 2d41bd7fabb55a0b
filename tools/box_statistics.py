"""Measures the box targets of a Fast R-CNN, and prints the config that normalises them."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "box-statistics")

if __name__ == "__main__":
    sys.exit(run(main))

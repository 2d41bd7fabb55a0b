"""Converts a detector of another framework into a config and a checkpoint."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "convert-weights")

if __name__ == "__main__":
    sys.exit(run(main))

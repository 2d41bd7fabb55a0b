"""Converts a detector of another framework into a config and a checkpoint."""

import functools
import sys

from detkit.commands.line import call

from detkit.cli import run

main = functools.partial(call, "convert-weights")

if __name__ == "__main__":
    sys.exit(run(main))

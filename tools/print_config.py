"""Prints a config as detkit reads it, with its bases, --set and environment variables applied."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "config")

if __name__ == "__main__":
    sys.exit(run(main))

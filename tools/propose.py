"""Writes the proposals of a config's images that need no training, and prints their recall."""

import functools
import sys

from detkit.commands.line import call

from detkit.cli import run

main = functools.partial(call, "propose")

if __name__ == "__main__":
    sys.exit(run(main))

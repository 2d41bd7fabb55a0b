"""Writes the proposals of a config's images that need no training, and prints their recall."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "propose")

if __name__ == "__main__":
    sys.exit(run(main))

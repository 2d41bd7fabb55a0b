"""Compresses the fully connected layers of a trained detector by truncated SVD."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "compress")

if __name__ == "__main__":
    sys.exit(run(main))

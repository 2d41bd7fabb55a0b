"""Exports a checkpoint as files that need none of detkit's models, for Python and for C++."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "export")

if __name__ == "__main__":
    sys.exit(run(main))

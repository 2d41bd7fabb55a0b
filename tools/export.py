"""Exports a checkpoint as files that need none of detkit's models, for Python and for C++."""

import functools
import sys

from detkit.commands.line import call

from detkit.cli import run

main = functools.partial(call, "export")

if __name__ == "__main__":
    sys.exit(run(main))

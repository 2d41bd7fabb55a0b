"""Prints what detkit finds on this machine: packages, processor, compiler, GPU and operators."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "doctor")

if __name__ == "__main__":
    sys.exit(run(main))

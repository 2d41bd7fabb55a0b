"""Evaluates a run, a checkpoint or an export on the images of data.val, data.test or data.train."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "test")

if __name__ == "__main__":
    sys.exit(run(main))

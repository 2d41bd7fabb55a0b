"""Evaluates detections that detkit test --out saved, or proposals, without the model."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "evaluate")

if __name__ == "__main__":
    sys.exit(run(main))

"""Evaluates detections that detkit test --out saved, or proposals, without the model."""

import functools
import sys

from detkit.commands.line import call

from detkit.cli import run

main = functools.partial(call, "evaluate")

if __name__ == "__main__":
    sys.exit(run(main))

"""Draws the detections of a checkpoint or an export into images: boxes, names, scores."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "predict")

if __name__ == "__main__":
    sys.exit(run(main))

"""Detects in images, folders, videos, cameras and streams, and saves what is found."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "predict")

if __name__ == "__main__":
    sys.exit(run(main))

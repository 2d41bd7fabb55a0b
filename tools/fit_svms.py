"""Fits an R-CNN's linear SVMs and box regressors on the features of a trained checkpoint."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "fit-svms")

if __name__ == "__main__":
    sys.exit(run(main))

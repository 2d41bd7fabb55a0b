"""Trains a detector. Example: detkit train faster_rcnn_vgg16"""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "train")

if __name__ == "__main__":
    sys.exit(run(main))

"""Writes the proposals of a config's images that need no training, and prints their recall.

Selective Search needs opencv-contrib-python, the same Python module as opencv-python. The file is
read by data.train_proposals and data.val_proposals.
"""

import argparse
from typing import Optional

from detkit.cli import common_arguments, positive, split_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    common_arguments(parser)
    split_argument(parser)
    parser.add_argument(
        "--method",
        choices=("selective_search", "sliding_windows"),
        default="selective_search",
        help="of R-CNN and Fast R-CNN (the default), or windows on a grid",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="FILE.npz, or COCO results JSON, which is larger and keeps no image without proposals",
    )
    parser.add_argument(
        "--limit", type=positive, default=2000, metavar="N", help="proposals of an image: 2000"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of the proposals")
    parser.add_argument(
        "--mode",
        choices=("fast", "quality"),
        default="fast",
        help="of Selective Search; default: fast",
    )
    parser.add_argument(
        "--side",
        type=positive,
        default=500,
        metavar="PIXELS",
        help="Selective Search looks at larger images at this longer side; default: 500",
    )
    parser.add_argument("--workers", type=positive, default=1, help="threads; default: 1")


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message for a negative seed."""
    if args.seed < 0:
        return f"--seed: expected a whole number of at least 0, found {args.seed}"
    return None

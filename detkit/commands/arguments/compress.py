"""Compresses the fully connected layers of a trained detector by truncated SVD."""

import argparse
from typing import Optional, Tuple, Union

from detkit.cli import SPLITS, lacks_checkpoint, model_arguments, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    model_arguments(parser)
    parser.add_argument(
        "--ranks",
        metavar="LAYER=RANK",
        nargs="+",
        type=_rank,
        required=True,
        help="layers of the head, fc6, fc7 and so on, with a rank each, or with a share of the "
        "largest rank, such as 0.25",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="evaluate both detectors on the images of this section of data, and time them",
    )
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if CHECKPOINT is missing beside a config."""
    return lacks_checkpoint(args)


def _rank(text: str) -> Tuple[str, Union[int, float]]:
    """Parses LAYER=RANK; a number with a point is a share."""
    name, _, number = text.partition("=")
    share = "." in number
    try:
        rank: Union[int, float] = float(number) if share else int(number)
    except ValueError:
        rank = 0
    if not name or rank <= 0 or (share and rank > 1):
        raise argparse.ArgumentTypeError(
            f"expected LAYER=RANK with a rank of at least 1, or a share above 0.0 and at most 1.0, "
            f"found {text!r}"
        )
    return name, rank

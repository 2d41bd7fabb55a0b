"""Arguments that several of tools/benchmark*.py have in common."""

import argparse
import re
from typing import Collection, Optional, Tuple

Size = Tuple[int, int]  # height, width in pixels
Peer = Tuple[str, Optional[str]]


def size(text: str) -> Size:
    """Returns the value of --size."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, such as 600x800, found {text!r}")
    height, width = map(int, text.split("x"))
    return height, width


def seconds(text: str) -> float:
    """Returns the value of --seconds."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, such as 2.5, found {text!r}")
    return float(text)


def add_peers(parser: argparse.ArgumentParser, peers: Collection[str]) -> None:
    """Adds --peer, whose values are pairs: one of ``peers`` and its interpreter, or None."""

    def peer(text: str) -> Peer:
        name, _, python = text.partition("=")
        if name not in peers:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(peers)}, found {name!r}")
        return name, python or None

    parser.add_argument(
        "--peer",
        dest="peers",
        action="append",
        default=[],
        type=peer,
        metavar="NAME[=PYTHON]",
        help=f"one of {', '.join(peers)}, and its interpreter, if it is another than this one",
    )

"""Arguments that tools/benchmark.py and tools/benchmark_convs.py have in common."""

import argparse
import re
from typing import Callable, Collection, Optional, Tuple

Size = Tuple[int, int]  # height, width in pixels
Peer = Tuple[str, Optional[str]]


def size(text: str) -> Size:
    """Returns the value of --size."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, such as 600x800, found {text!r}")
    height, width = map(int, text.split("x"))
    return height, width


def peer_type(peers: Collection[str]) -> Callable[[str], Peer]:
    """Returns a function that reads the value of --peer, one of ``peers`` and an interpreter.

    The function returns the peer's name, and None for the interpreter of the tool.
    """

    def peer(text: str) -> Peer:
        name, _, python = text.partition("=")
        if name not in peers:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(peers)}, found {name!r}")
        return name, python or None

    return peer

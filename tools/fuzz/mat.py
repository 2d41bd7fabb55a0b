"""Writes MATLAB's .mat files element by element, and mutates them within their compression."""

import random
import struct
import zlib
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

HEADER = 128  # bytes
CELL, CHAR, DOUBLE = 1, 4, 6  # MATLAB's classes
MATRIX, COMPRESSED = 14, 15  # and types
TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
# y1 x1 y2 x2 of a few boxes, in pixels counted from 1.
BOXES = np.array([[1, 1, 32, 32], [5, 3, 20, 30], [2, 7, 9, 9]], np.float64)


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    """Returns an element; up to 4 bytes take the short form."""
    if 0 < len(data) <= 4 and kind != MATRIX:
        return struct.pack(f"{order}I", kind | len(data) << 16) + data.ljust(4, b"\0")
    padding = b"" if kind == COMPRESSED else bytes(-len(data) % 8)
    return struct.pack(f"{order}II", kind, len(data)) + data + padding


def matrix(
    kind: int, sides: Sequence[int], content: bytes, name: str = "", order: str = "<"
) -> bytes:
    """Returns a variable, or the content of a cell; ``kind`` is its class, with flags above it."""
    flags = struct.pack(f"{order}II", kind, 0)
    shape = struct.pack(f"{order}{len(sides)}i", *sides)
    head = ((TYPES["u4"], flags), (TYPES["i4"], shape), (TYPES["i1"], name.encode()))
    start = b"".join(element(*each, order=order) for each in head)
    return element(MATRIX, start + content, order)


def numbers(array: Any, name: str = "", stored: str = "f8", order: str = "<") -> bytes:
    """Returns a matrix of doubles, which are ``stored`` in a type that may be smaller."""
    data = np.asarray(array).astype(order + stored).tobytes(order="F")
    return matrix(DOUBLE, np.shape(array), element(TYPES[stored], data, order), name, order)


def text(value: str, name: str = "", order: str = "<") -> bytes:
    """Returns a line of text."""
    data = value.encode("utf-16-le" if order == "<" else "utf-16-be")
    return matrix(CHAR, (1, len(value)), element(TYPES["u2"], data, order), name, order)


def cells(values: Sequence[bytes], name: str, order: str = "<") -> bytes:
    """Returns a row of cells."""
    return matrix(CELL, (1, len(values)), b"".join(values), name, order)


def mat_file(*variables: bytes, order: str = "<", compressed: bool = True) -> bytes:
    """Returns a file of variables."""
    mark = struct.pack(f"{order}HH", 0x0100, int.from_bytes(b"MI", "big"))
    head = b"MATLAB 5.0 MAT-file".ljust(HEADER - 4) + mark
    if compressed:
        variables = tuple(element(COMPRESSED, zlib.compress(v), order) for v in variables)
    return head + b"".join(variables)


def proposals_of(
    boxes: Mapping[str, np.ndarray], stored: str = "u2", order: str = "<", **_: Any
) -> Tuple[bytes, bytes]:
    """Returns the variables ``boxes`` and ``images`` of {name: (R, 4) y1 x1 y2 x2 from 1}."""
    corners = [numbers(each, stored=stored, order=order) for each in boxes.values()]
    names = [text(name, order=order) for name in boxes]
    return cells(corners, "boxes", order), cells(names, "images", order)


def mat() -> List[Dict[str, bytes]]:
    """Returns the proposals of two images as MATLAB writes them: plain, compressed, big-endian."""
    named = {f"shapes-0-{i:06d}": BOXES[: 2 * i] for i in (0, 1)}
    ways: Sequence[Mapping[str, Any]] = (
        {"compressed": False},
        {"compressed": True},
        {"order": ">"},
    )
    return [{"a.mat": mat_file(*proposals_of(named, **way), **way)} for way in ways]


def of_mat(
    data: bytes, draw: random.Random, change: Callable[[bytes, random.Random], bytes]
) -> bytes:
    """Returns a file one variable of which was changed before it was compressed."""
    order = "<" if data[HEADER - 2 : HEADER] == b"IM" else ">"
    variables = list(_variables(data, order))
    chosen = draw.randrange(len(variables))
    pieces: List[bytes] = [data[:HEADER]]
    for number, (kind, body) in enumerate(variables):
        plain = zlib.decompress(body) if kind == COMPRESSED else body
        plain = change(plain, draw) if number == chosen else plain
        pieces.append(element(kind, zlib.compress(plain) if kind == COMPRESSED else plain, order))
    return b"".join(pieces)


def _variables(data: bytes, order: str) -> Iterator[Tuple[int, bytes]]:
    """Yields the type and the bytes of the elements of a valid file."""
    at = HEADER
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size

"""Reads MATLAB's .mat files: matrices of numbers, text, and cells of these, and nothing else.

The format is level 5 of MATLAB's MAT-File Format, which ``save`` writes with -v6 and, with each
variable compressed, with -v7. SciPy reads it too, but is no dependency of detkit, and is made for
files that one trusts: it decompresses a variable whatever its size. Here each length is compared
with the bytes that there are, and the decompressed bytes with the size of the file.
"""

import math
import struct
import zlib
from itertools import islice
from pathlib import Path
from typing import Any, Collection, Dict, Iterator, List, Tuple, Union

import numpy as np

from detkit.errors import DataError

HEADER = 128  # bytes: a text, the version, and the order of bytes
ORDERS = {b"IM": "<", b"MI": ">"}
LEVEL_5, LEVEL_7_3 = 0x0100, 0x0200
MATRIX, COMPRESSED = 14, 15
# By the format's numbers of types.
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
BYTES, WORDS = (1, 2, 16), (4, 17)  # the types of texts: of ASCII or UTF-8, of UTF-16
# By the format's numbers of classes. Numbers may be stored in a smaller type than their class.
CELL, CHAR, NUMBERS, COMPLEX = 1, 4, range(6, 16), 0x0800
MOST_CELLS = 1_000_000
MOST_COMPRESSED = 20  # times the size of the file: the most that is decompressed
SLACK = 1 << 20  # bytes
NAME_BYTES = 1024  # of a decompressed variable, among which its name is

EMPTY = np.zeros((0, 0))  # of a cell that was never filled
EMPTY.flags.writeable = False

Value = Union[np.ndarray, str, List[Any]]
Elements = Iterator[Tuple[int, memoryview]]


def read_mat(path: Union[str, Path], names: Collection[str]) -> Dict[str, Value]:
    """Returns {name: value} of those of the variables ``names`` that the file has.

    A value is a read-only array (rows, columns) of the type in which the file stores the numbers, a
    str, or a list with the values of the cells, column by column. Other variables are skipped.

    Raises DataError, with the path, for any other file, and for variables of other kinds.
    """
    path = Path(path)
    try:
        data = memoryview(path.read_bytes())
        order = _order(data)
        return dict(_variables(data, order, names))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _order(data: memoryview) -> str:
    """Returns the order of bytes, as struct's format has it. Raises DataError for other files."""
    order = ORDERS.get(bytes(data[HEADER - 2 : HEADER]))
    version = struct.unpack_from(f"{order}H", data, HEADER - 4)[0] if order else None
    if order is None or version != LEVEL_5:
        found = "level 7.3, an HDF5 file" if version == LEVEL_7_3 else repr(bytes(data[:20]))
        raise DataError(f"expected a .mat file of level 5, found {found}; save it with -v7 or -v6")
    return order


def _variables(data: memoryview, order: str, names: Collection[str]) -> Iterator[Tuple[str, Value]]:
    """Yields the name and the value of each variable among ``names``."""
    left = MOST_COMPRESSED * len(data) + SLACK
    for kind, body in _elements(data[HEADER:], order):
        if kind == COMPRESSED:
            head, _ = _inflated(body, NAME_BYTES)
            if _name(head[8:], order) not in names:
                continue
            inflated, whole = _inflated(body, left + 1)
            left -= len(inflated)
            if left < 0:
                raise DataError(
                    f"expected at most {MOST_COMPRESSED} times the file's {len(data)} bytes after "
                    "decompression, found more, as in a zip bomb; save it with -v6"
                )
            if not whole:
                raise DataError("cut short: expected the end of a compressed variable, found none")
            kind, body = _next(_elements(inflated, order), "a variable")
        if kind != MATRIX:
            raise DataError(f"damaged: expected a variable, found an element of type {kind}")
        name = _name(body, order)
        if name in names:
            try:
                yield name, _value(body, order, within_cell=False)
            except DataError as error:
                raise DataError(f"{name}: {error}") from error


def _inflated(body: memoryview, most: int) -> Tuple[memoryview, bool]:
    """Returns at most the first ``most`` bytes after decompression, and whether these are all."""
    stream = zlib.decompressobj()
    try:
        return memoryview(stream.decompress(body, most)), stream.eof
    except zlib.error as error:
        raise DataError(f"damaged: a variable cannot be decompressed ({error})") from error


def _elements(data: memoryview, order: str) -> Elements:
    """Yields (type, bytes) of the elements that follow one another in ``data``."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise DataError(f"damaged: expected an element, found {len(data) - at} bytes")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if kind >> 16:  # up to 4 bytes lie within the first 8, after a smaller type and size
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        end = start + size
        if end > len(data) or (start == at + 4 and size > 4):
            raise DataError(
                f"damaged or cut short: expected {size} bytes, found {len(data) - start}"
            )
        yield kind, data[start:end]
        at = end if kind == COMPRESSED else end + -end % 8


def _next(elements: Elements, what: str) -> Tuple[int, memoryview]:
    try:
        return next(elements)
    except StopIteration:
        raise DataError(f"damaged: expected {what}, found the end") from None


def _name(body: memoryview, order: str) -> str:
    """Returns the name of a variable, of whose bytes only the first are needed."""
    elements = _elements(body, order)
    *_, (_, name) = (_next(elements, what) for what in ("flags", "sides", "a name"))
    return bytes(name).decode("ascii", "replace")


def _value(body: memoryview, order: str, within_cell: bool) -> Value:
    """Returns the value of a variable or of a cell."""
    if not len(body) and within_cell:
        return EMPTY
    elements = _elements(body, order)
    _, flags = _next(elements, "flags")
    _, sides = _next(elements, "sides")
    _next(elements, "a name")
    if len(flags) != 8 or len(sides) != 8:
        raise DataError(f"expected a matrix of 2 sides, found one of {len(sides) // 4}")
    (flag,) = struct.unpack_from(f"{order}I", flags)
    rows, columns = struct.unpack(f"{order}ii", sides)
    if rows < 0 or columns < 0:
        raise DataError(f"damaged: expected sides of at least 0, found {rows} x {columns}")
    kind = flag & 0xFF
    if kind == CELL and not within_cell:
        return _cells(elements, rows * columns, order)
    if kind == CHAR and rows <= 1:
        return _text(*_next(elements, "a text"), order)
    if kind in NUMBERS and not flag & COMPLEX:
        return _numbers(*_next(elements, "numbers"), (rows, columns), order)
    raise DataError(
        "expected real numbers, a line of text or cells of these, found a matrix of MATLAB's class "
        f"{kind} ({'complex, ' * bool(flag & COMPLEX)}{rows} x {columns})"
    )


def _cells(elements: Elements, count: int, order: str) -> List[Value]:
    if count > MOST_CELLS:
        raise DataError(f"expected at most {MOST_CELLS} cells, found {count}")
    values: List[Value] = []
    for kind, body in islice(elements, count):
        try:
            if kind != MATRIX:
                raise DataError(f"damaged: expected a matrix, found an element of type {kind}")
            values.append(_value(body, order, within_cell=True))
        except DataError as error:
            raise DataError(f"cell {len(values) + 1}: {error}") from error
    if len(values) < count:
        raise DataError(f"damaged: expected {count} cells, found {len(values)}")
    return values


def _text(kind: int, body: memoryview, order: str) -> str:
    if kind not in (*BYTES, *WORDS):
        raise DataError(f"damaged: expected a text, found an element of type {kind}")
    try:
        wide = "utf-16-le" if order == "<" else "utf-16-be"
        return bytes(body).decode(wide if kind in WORDS else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"damaged: expected a text, found {error}") from error


def _numbers(kind: int, body: memoryview, shape: Tuple[int, int], order: str) -> np.ndarray:
    if kind not in TYPES:
        raise DataError(f"damaged: expected numbers, found an element of type {kind}")
    dtype = np.dtype(order + TYPES[kind])
    size = math.prod(shape) * dtype.itemsize
    if len(body) != size:
        raise DataError(f"damaged: expected {size} bytes of {dtype} {shape}, found {len(body)}")
    flat = np.frombuffer(body, dtype) if size else np.empty(0, dtype)
    return flat.reshape(shape, order="F")

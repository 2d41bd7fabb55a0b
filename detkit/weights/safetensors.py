"""Reads .safetensors files as numpy arrays and checks every number in them.

The format (https://github.com/huggingface/safetensors) is 8 bytes with the length of a header, the
header in JSON, and the bytes of the arrays, which follow one another without gaps.
"""

import json
import math
import reprlib
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, NamedTuple, Tuple, Union

import numpy as np

from detkit.errors import WeightsError

HEADER_LIMIT = 4 << 20  # bytes; a large detector needs some 100 kilobytes
MOST_AXES = 32  # numpy's limit
MOST_DIGITS = 20  # of a number; Python 3.8 takes hours to read one of a million digits
DTYPES = {
    "BOOL": "?",
    "BF16": "<u2",
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)},
}


class _Entry(NamedTuple):
    """An array of the header: its name, dtype and shape, and where its bytes begin and end."""

    name: str
    kind: str
    shape: Tuple[int, ...]
    begin: int
    end: int


def read_safetensors(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """Returns the read-only arrays of a file by name; bfloat16 becomes float32.

    Raises WeightsError, with the path, for any other file and for types that numpy lacks.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            entries = _entries(_header(file, path.stat().st_size))
            data = memoryview(file.read())
        _check_ranges(entries, len(data))
        return {entry.name: _array(entry, data) for entry in entries}
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _header(file: BinaryIO, size: int) -> bytes:
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > min(size - 8, HEADER_LIMIT):
        raise WeightsError(
            f"damaged, cut short or of another format: expected a header of at most {HEADER_LIMIT} "
            f"bytes within the file's {size}, found the length {length} ({first!r})"
        )
    return file.read(length)


def _entries(header: bytes) -> List[_Entry]:
    try:
        content = json.loads(header.decode(), object_pairs_hook=_mapping, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"expected a header in JSON, found {header[:16]!r} and an error: {error}"
        ) from error
    metadata = content.pop("__metadata__", {}) if isinstance(content, dict) else None
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise WeightsError(
            f"expected a header with arrays by name and __metadata__ of text, found "
            f"{reprlib.repr(content)} and {reprlib.repr(metadata)}"
        )
    return [_entry(name, value) for name, value in content.items()]


def _mapping(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    mapping: Dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"expected each key once, found {key!r} twice")
        mapping[key] = value
    "".join(mapping).encode()  # half of a surrogate pair is a ValueError
    return mapping


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"expected at most {MOST_DIGITS} digits, found {reprlib.repr(text)}")
    return int(text)


def _entry(name: str, value: Any) -> _Entry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(
            f"array {name!r}: expected dtype, shape and data_offsets, found {reprlib.repr(value)}"
        )
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if type(kind) is not str or kind not in DTYPES:
        raise WeightsError(
            f"array {name!r}: expected a dtype of {', '.join(DTYPES)}, found {reprlib.repr(kind)}"
        )
    if not _are_counts(shape) or len(shape) > MOST_AXES:
        raise WeightsError(
            f"array {name!r}: expected a shape of at most {MOST_AXES} sides, found "
            f"{reprlib.repr(shape)}"
        )
    size = math.prod(shape) * np.dtype(DTYPES[kind]).itemsize
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise WeightsError(
            f"array {name!r} of shape {tuple(shape)} and {kind}: expected data_offsets that are "
            f"{size} bytes apart, found {reprlib.repr(offsets)}"
        )
    return _Entry(name, kind, tuple(shape), *offsets)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_ranges(entries: List[_Entry], size: int) -> None:
    """Raises WeightsError unless the arrays follow one another and take all ``size`` bytes."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry[-2:]):
        if entry.begin != end or entry.end > size:
            raise WeightsError(
                f"array {entry.name!r}: expected bytes from {end} to at most {size}, found "
                f"{entry.begin} to {entry.end}: the file is damaged or cut short"
            )
        end = entry.end
    if end != size:
        raise WeightsError(f"expected {end} bytes after the header, found {size}")


def _array(entry: _Entry, data: memoryview) -> np.ndarray:
    flat = np.frombuffer(data[entry.begin : entry.end], DTYPES[entry.kind])
    if entry.kind == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
        flat.flags.writeable = False
    try:
        return flat.reshape(entry.shape)
    except ValueError as error:  # an empty array with sides that are too large for numpy
        raise WeightsError(
            f"array {entry.name!r} of shape {entry.shape}: cannot be made: {error}"
        ) from error

"""Reads MXNet's ``.params`` files as numpy arrays and checks every number in them.

MXNet's own reader trusts the counts and shapes of a file and crashes on a damaged one.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO, Dict, Optional, Tuple, Union

import numpy as np

from detkit.errors import WeightsError

LIST_MAGIC = 0x112
# The first number of an array: with numpy's shapes (MXNet 1.5), as of 1.0, and as of 0.11.
NUMPY_SHAPES, WITH_STORAGE, WITH_LONG_SHAPE = 0xF993FACA, 0xF993FAC9, 0xF993FAC8
DENSE = 0
# By MXNet's numbers. numpy has no bfloat16: MXNet's Python package uses the last type for it.
NAMES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?")
DTYPES = {**dict(enumerate(map(np.dtype, NAMES))), 12: np.dtype([("bfloat16", "<u2")])}
MOST_AXES = 32  # numpy's limit
MOST_ARRAYS = 100_000  # a large detector has some 1000


def read_params(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """Returns the arrays of a file of ``save_parameters`` or ``mx.nd.save`` by name.

    Raises WeightsError, with the path, for any other file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size).named_arrays()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def is_params(path: Union[str, Path]) -> bool:
    """Returns whether a file begins like one of MXNet's."""
    try:
        with Path(path).open("rb") as file:
            return file.read(8) == struct.pack("<Q", LIST_MAGIC)
    except OSError:
        return False


class _Reader:
    """A reader of the little-endian numbers of a file of ``size`` bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def named_arrays(self) -> Dict[str, np.ndarray]:
        """Reads the whole file."""
        if self._left < 16 or self._numbers("Q", 2) != (LIST_MAGIC, 0):
            raise WeightsError("expected a file of mx.nd.save, found one that begins differently")
        count = self._count()
        if count > MOST_ARRAYS:
            raise WeightsError(f"expected at most {MOST_ARRAYS} arrays, found {count}")
        arrays = [self._array() for _ in range(count)]
        names = [self._name() for _ in range(self._count())]
        if self._left:
            raise WeightsError(
                f"damaged: expected the end after the last name, found {self._left} more bytes"
            )
        if len(names) != len(arrays) or len(set(names)) != len(names):
            raise WeightsError(
                f"expected one name for each array, found {len(arrays)} arrays and "
                f"{len(set(names))} names"
            )
        return dict(zip(names, arrays))

    def _array(self) -> np.ndarray:
        shape = self._shape()
        if shape is None:  # the array was empty when it was saved, and nothing follows
            return np.zeros(0, "float32")
        device, _, number = self._numbers("i", 3)
        if device < 1 or number not in DTYPES:
            raise WeightsError(
                "damaged, or of another version of MXNet: expected a known type, found an array of "
                f"type {number} on a device of type {device}"
            )
        dtype = DTYPES[number]
        data = self._bytes(math.prod(shape) * dtype.itemsize)
        try:
            return np.frombuffer(data, dtype).reshape(shape)
        except ValueError as error:  # an empty array with sides that are too large for numpy
            raise WeightsError(
                f"damaged: an array of shape {shape} cannot be made: {error}"
            ) from error

    def _shape(self) -> Optional[Tuple[int, ...]]:
        (magic,) = self._numbers("I", 1)
        if magic in (NUMPY_SHAPES, WITH_STORAGE):
            (storage,) = self._numbers("i", 1)
            if storage != DENSE:
                raise WeightsError(f"expected dense arrays, found a sparse one (storage {storage})")
        known = magic in (NUMPY_SHAPES, WITH_STORAGE, WITH_LONG_SHAPE)
        # Before 0.11 an array began with its number of axes.
        (axes,) = self._numbers("i", 1) if known else (magic,)
        if axes == (-1 if magic == NUMPY_SHAPES else 0):
            return None
        if not 0 <= axes <= MOST_AXES:
            raise WeightsError(
                f"damaged: expected at most {MOST_AXES} axes, found an array of {axes} axes"
            )
        shape = self._numbers("q" if known else "I", axes)
        if min(shape, default=0) < 0:
            raise WeightsError(f"damaged: expected sides of at least 0, found the shape {shape}")
        return shape

    def _name(self) -> str:
        try:
            return self._bytes(self._count()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise WeightsError("damaged: expected names in UTF-8, found another") from error

    def _count(self) -> int:
        """Reads the number of items that follow, each of which has at least a byte."""
        (count,) = self._numbers("Q", 1)
        self._require(count, self._left)
        return count

    def _numbers(self, code: str, count: int) -> Tuple[int, ...]:
        layout = struct.Struct(f"<{count}{code}")
        return layout.unpack(self._bytes(layout.size))

    def _bytes(self, count: int) -> bytes:
        self._require(count, self._left)
        self._left -= count
        data = self._file.read(count)
        self._require(count, len(data))
        return data

    @staticmethod
    def _require(count: int, left: int) -> None:
        if count > left:
            raise WeightsError(
                f"damaged or cut short: expected at least {count} more bytes, found {left}"
            )

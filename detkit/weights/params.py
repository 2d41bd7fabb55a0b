"""MXNet's ``.params`` files as numpy arrays, every number in them checked.

MXNet's own reader is made for files that are whole: it takes their counts and shapes on trust.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO, Dict, Optional, Tuple, Union

import numpy as np

from detkit.errors import WeightsError

LIST_MAGIC = 0x112
# Begin an array: with numpy's shapes (MXNet 1.5), and as of 1.0 and of 0.11.
NUMPY_SHAPES, WITH_STORAGE, WITH_LONG_SHAPE = 0xF993FACA, 0xF993FAC9, 0xF993FAC8
DENSE = 0
DTYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?")  # by MXNet's numbers
MOST_AXES = 32  # numpy's limit


def read_params(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """The arrays of a file written by ``save_parameters`` or ``mx.nd.save``, by name.

    Raises WeightsError, with the path and what was found, for anything that is not such a file.
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
    """Whether a file begins as MXNet's do."""
    try:
        with Path(path).open("rb") as file:
            return file.read(8) == struct.pack("<Q", LIST_MAGIC)
    except OSError:
        return False


class _Reader:
    """Reads the little-endian numbers of a file of ``size`` bytes, none beyond its end."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._left = file, size

    def named_arrays(self) -> Dict[str, np.ndarray]:
        if self._left < 16 or self._numbers("Q", 2) != (LIST_MAGIC, 0):
            raise WeightsError("not a file of MXNet's: it does not begin as mx.nd.save begins")
        arrays = [self._array() for _ in range(self._count())]
        names = [self._name() for _ in range(self._count())]
        if self._left:
            raise WeightsError(f"damaged: {self._left} bytes follow after its last name")
        if len(names) != len(arrays) or len(set(names)) != len(names):
            raise WeightsError(
                f"it holds {len(arrays)} arrays and {len(set(names))} names: one for each is needed"
            )
        return dict(zip(names, arrays))

    def _array(self) -> np.ndarray:
        shape = self._shape()
        if shape is None:  # nothing was in it when it was saved, and nothing follows
            return np.zeros(0, "float32")
        device, _, number = self._numbers("i", 3)
        if device < 1 or not 0 <= number < len(DTYPES):
            raise WeightsError(
                f"damaged, or of another version of MXNet: an array of type {number} on a device "
                f"of type {device}"
            )
        dtype = np.dtype(DTYPES[number])
        return np.frombuffer(self._bytes(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)

    def _shape(self) -> Optional[Tuple[int, ...]]:
        (magic,) = self._numbers("I", 1)
        if magic in (NUMPY_SHAPES, WITH_STORAGE):
            (storage,) = self._numbers("i", 1)
            if storage != DENSE:
                raise WeightsError(f"an array of its is sparse (storage {storage}), not dense")
        known = magic in (NUMPY_SHAPES, WITH_STORAGE, WITH_LONG_SHAPE)
        # Before 0.11 an array began with its number of axes.
        (axes,) = self._numbers("i", 1) if known else (magic,)
        if axes == (-1 if magic == NUMPY_SHAPES else 0):
            return None
        if not 0 <= axes <= MOST_AXES:
            raise WeightsError(f"damaged: an array of {axes} axes")
        shape = self._numbers("q" if known else "I", axes)
        if min(shape, default=0) < 0:
            raise WeightsError(f"damaged: an array of shape {shape}")
        return shape

    def _name(self) -> str:
        try:
            return self._bytes(self._count()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise WeightsError("damaged: a name is no text") from error

    def _count(self) -> int:
        """A number of things that follow, each of at least a byte."""
        (count,) = self._numbers("Q", 1)
        if count > self._left:
            raise WeightsError(f"damaged or cut short: {count} of {self._left} bytes are to follow")
        return count

    def _numbers(self, code: str, count: int) -> Tuple[int, ...]:
        layout = struct.Struct(f"<{count}{code}")
        return layout.unpack(self._bytes(layout.size))

    def _bytes(self, count: int) -> bytes:
        if count > self._left:
            raise WeightsError(f"cut short: {count} bytes of it are to follow, and {self._left} do")
        self._left -= count
        data = self._file.read(count)
        if len(data) < count:
            raise WeightsError(f"cut short: {count} bytes of it are to follow, and {len(data)} do")
        return data

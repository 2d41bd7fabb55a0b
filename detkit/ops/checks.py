"""Checks of arguments that MXNet's own operators answer with a signal instead of an error.

Some of them divide by an integer zero, and some raise an exception in a thread where nothing
catches it. Both end the process. The compiled library checks its arguments itself.
"""

import math
from typing import Any, Sequence, Union

import mxnet as mx
import numpy as np

FLOATS = (np.float16, np.float32, np.float64)
LEAST_STRIDE, LARGEST_STRIDE = 1 / 16, 65536


def require_floats(operator: str, **arrays: Any) -> None:
    """Raises ValueError for an NDArray of another type than floats. Symbols have no type."""
    for name, array in arrays.items():
        if isinstance(array, mx.nd.NDArray) and array.dtype not in FLOATS:
            dtype = np.dtype(array.dtype)
            raise ValueError(f"{operator}: {name}: expected floating-point numbers, found {dtype}")


def require_maps(operator: str, maps: Sequence[Any], rois: Any) -> None:
    """Raises ValueError for maps that MXNet would read beyond their end. Symbols have no shape.

    maps: (B, C, H, W) with H, W of at least 1. rois: (B, R, 4), of the same B.
    """
    for number, each in enumerate(maps):
        if not isinstance(each, mx.nd.NDArray) or len(each.shape) != 4:
            continue  # MXNet refuses another number of axes itself
        if 0 in each.shape[2:]:
            expected = "at least one row and one column"
        elif each.shape[0] != rois.shape[0]:
            expected = f"{rois.shape[0]} images, as the RoIs have"
        else:
            continue
        raise ValueError(f"{operator}: features {number}: expected {expected}, found {each.shape}")


def require_positive(operator: str, **numbers: Union[float, Sequence[float]]) -> None:
    """Raises ValueError for a number, or for one of several, that is not finite and above 0."""
    for name, number in numbers.items():
        for each in [number] if isinstance(number, (int, float)) else number:
            if not (math.isfinite(each) and each > 0):
                raise ValueError(f"{operator}: {name}: expected a number above 0, found {each}")


def require_strides(operator: str, stride: Union[float, Sequence[float]]) -> None:
    """Raises ValueError for a stride that no map has, in pixels.

    With a larger one, RoIs of a pixel would have no width; with a smaller one, too many samples.
    """
    for each in [stride] if isinstance(stride, (int, float)) else stride:
        if not LEAST_STRIDE <= each <= LARGEST_STRIDE:
            expected = f"{LEAST_STRIDE} to {LARGEST_STRIDE} pixels"
            raise ValueError(f"{operator}: stride: expected {expected}, found {each}")


def require_finite(operator: str, **numbers: float) -> None:
    """Raises ValueError for a number that is NaN or infinite."""
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise ValueError(f"{operator}: {name}: expected a finite number, found {number}")

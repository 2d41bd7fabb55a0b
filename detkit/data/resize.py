"""Resizes images with the same pixels as OpenCV or as another framework."""

import functools
import math
from typing import Any, Optional, Tuple

import cv2
import numpy as np

FRAMEWORKS = ("torchvision", "detectron2", "gluoncv")
WEIGHT_BITS = 22  # the fraction bits of Pillow's fixed-point weights
CUBIC_BITS = 11  # the fraction bits of OpenCV's


def resized_size(
    height: int, width: int, short: int, long: int, like: Optional[str] = None
) -> Tuple[int, int]:
    """Returns (width, height) of an image scaled to the shorter side `short`, in pixels.

    long: the limit of the longer side, which may make the shorter side smaller than `short`.
    like: one of FRAMEWORKS, whose rounding of the sides is used; None rounds to the nearest number.
    """
    scale = min(short / min(height, width), long / max(height, width))
    return _rounded(width * scale, like), _rounded(height * scale, like)


def _rounded(side: float, like: Optional[str]) -> int:
    if like == "torchvision":
        return max(1, math.floor(side))
    return max(1, int(_half_up(side)) if like == "detectron2" else round(side))


def resample(image: np.ndarray, size: Tuple[int, int], like: Optional[str] = None) -> np.ndarray:
    """Returns an (H, W, 3) uint8 image at size (width, height).

    like: one of FRAMEWORKS, whose pixels are reproduced; None takes OpenCV's.
    """
    if like is None:
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    how = {"torchvision": like_torch, "detectron2": like_pillow, "gluoncv": like_mxnet}
    return how[like](image, size)


def like_torch(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns an (H, W, 3) image at size (width, height), float32, by torch's bilinear resampling.

    OpenCV rounds the positions differently, which changes pixels by up to 1e-4 of their range.
    """
    for axis, side in ((0, size[1]), (1, size[0])):
        before = image.shape[axis]
        step = float(np.float32(before / side))
        position = np.maximum((np.arange(side) + 0.5) * step - 0.5, 0).astype(np.float32)
        low = np.minimum(position.astype(int), before - 1)
        high = np.minimum(low + 1, before - 1)
        share = _along(axis, (position - low).astype(np.float32))
        image = image.take(low, axis) * (1 - share) + image.take(high, axis) * share
    return image


def like_pillow(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns an (H, W, 3) uint8 image at size (width, height), uint8, by Pillow's BILINEAR filter.

    If an image shrinks, a triangle as wide as two pixels of the result weighs the pixels that it
    covers, so that every pixel counts. The width is resampled first, and each pass rounds to whole
    numbers. (Pillow 13 resamples the height of tall images first, which changes some pixels by 1.)
    """
    for axis, side in ((1, size[0]), (0, size[1])):
        places, weights = _triangles(image.shape[axis], side)
        total = np.full((1, 1, 1), 1 << (WEIGHT_BITS - 1), np.int32)  # rounds to the nearest number
        for place, weight in zip(places, weights):
            total = total + image.take(place, axis) * _along(axis, weight)
        image = (total >> WEIGHT_BITS).clip(0, 255).astype(np.uint8)
    return image


def _triangles(before: int, after: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the sources of each resampled pixel and their weights, both (taps, after) int."""
    step = before / after
    reach = max(step, 1.0)
    centre = (np.arange(after) + 0.5) * step
    first = np.maximum((centre - reach + 0.5).astype(int), 0)
    last = np.minimum((centre + reach + 0.5).astype(int), before)
    places = first + np.arange((last - first).max())[:, None]
    weights = np.maximum(1 - np.abs((places - centre + 0.5) * (1 / reach)), 0) * (places < last)
    weights = weights / weights.sum(axis=0)
    whole = (weights * (1 << WEIGHT_BITS) + 0.5).astype(np.int32)
    return np.minimum(places, before - 1), whole


def like_mxnet(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns an (H, W, 3) uint8 image at size (width, height), uint8, by MXNet's imresize.

    With interp=2, this is the bicubic resampling of the OpenCV in MXNet's wheel; other
    versions round differently.
    """
    places, weights = _cubics(image.shape[1], size[0])
    taps = [image.take(place, 1) * _along(1, weight) for place, weight in zip(places, weights)]
    rows = functools.reduce(np.add, taps).reshape(len(image), -1)
    places, weights = _cubics(len(rows), size[1])
    # OpenCV takes eight numbers of a row at a time and rounds the rest of the row differently.
    vectors = rows.shape[1] // 8 * 8
    whole = np.rint(_down(rows[:, :vectors], places, weights, np.dtype(np.float32)))
    rest = _half_up(_down(rows[:, vectors:], places, weights, np.dtype(np.float64)))
    parts = [part.clip(0, 255).astype(np.uint8) for part in (whole, rest)]
    return np.concatenate(parts, axis=1).reshape(size[1], size[0], 3)


def _down(rows: np.ndarray, places: np.ndarray, weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns the weighted sums of rows (H, n), calculated in dtype from fixed-point weights."""
    scaled = weights.astype(dtype) * dtype.type(0.25**CUBIC_BITS)
    taps = [rows.take(p, 0).astype(dtype) * w[:, None] for p, w in zip(places, scaled)]
    total: np.ndarray = functools.reduce(np.add, taps)
    return total


def _half_up(values: Any) -> Any:
    return np.floor(values + 0.5)


def _cubics(before: int, after: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the sources of each resampled pixel and their weights, both (4, after) int."""
    step = 1 / (after / before)
    position = ((np.arange(after) + 0.5) * step - 0.5).astype(np.float32)
    low = np.floor(position)
    x = position - low
    inner = [(1.25 * t - 2.25) * t * t + 1 for t in (x, 1 - x)]  # the cubic of a = -0.75
    first = ((-0.75 * (x + 1) + 3.75) * (x + 1) - 6) * (x + 1) + 3
    weights = np.stack([first, *inner, 1 - first - inner[0] - inner[1]])
    places = low.astype(int) + np.arange(-1, 3)[:, None]
    return places.clip(0, before - 1), np.rint(weights * 2**CUBIC_BITS).astype(np.int32)


def _along(axis: int, values: np.ndarray) -> np.ndarray:
    return values.reshape((-1, 1, 1) if axis == 0 else (-1, 1))

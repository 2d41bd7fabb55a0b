"""Images at another size, pixel for pixel as OpenCV or another framework resizes them."""

import math
from typing import Optional, Tuple

import cv2
import numpy as np

FRAMEWORKS = ("torchvision", "detectron2", "gluoncv")
WEIGHT_BITS = 22  # of Pillow's fixed-point weights
CUBIC_BITS = 11  # of OpenCV's


def resized_size(
    height: int, width: int, short: int, long: int, like: Optional[str] = None
) -> Tuple[int, int]:
    """(width, height) of an image scaled until its shorter side is `short` or its longer `long`.

    like: one of FRAMEWORKS rounds sides otherwise than to the nearest number, see Resize.
    """
    scale = min(short / min(height, width), long / max(height, width))
    whole = {"torchvision": math.floor, "detectron2": _half_up}.get(like, round)
    return max(1, int(whole(width * scale))), max(1, int(whole(height * scale)))


def resample(image: np.ndarray, size: Tuple[int, int], like: Optional[str] = None) -> np.ndarray:
    """An (H, W, 3) uint8 image at size (width, height), as one of FRAMEWORKS or as OpenCV."""
    if like is None:
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    how = {"torchvision": like_torch, "detectron2": like_pillow, "gluoncv": like_mxnet}
    return how[like](image, size)


def like_torch(image: np.ndarray, size) -> np.ndarray:
    """An (H, W, 3) image at size (width, height), float32: torch's bilinear interpolation.

    OpenCV's rounds the positions otherwise, which amounts to 1e-4 of the range of the pixels.
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


def like_pillow(image: np.ndarray, size) -> np.ndarray:
    """An (H, W, 3) uint8 image at size (width, height), uint8: Pillow's BILINEAR filter.

    Where an image shrinks, a triangle as wide as two pixels of the result weighs what it covers, so
    that no pixel is left out. The width comes first, and each pass rounds to whole numbers.
    (Pillow 13 takes the height first in tall images, which moves some of their pixels by 1.)
    """
    for axis, side in ((1, size[0]), (0, size[1])):
        places, weights = _triangles(image.shape[axis], side)
        total = np.full((1, 1, 1), 1 << (WEIGHT_BITS - 1), np.int32)  # to round, not to cut
        for place, weight in zip(places, weights):
            total = total + image.take(place, axis) * _along(axis, weight)
        image = (total >> WEIGHT_BITS).clip(0, 255).astype(np.uint8)
    return image


def _triangles(before: int, after: int):
    """(taps, after) pixels that each pixel of the result is made of, and their weights, int32."""
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


def like_mxnet(image: np.ndarray, size) -> np.ndarray:
    """An (H, W, 3) uint8 image at size (width, height), uint8: MXNet's imresize with interp=2.

    That is OpenCV's bicubic interpolation, of the version in MXNet's wheel; others round otherwise.
    """
    places, weights = _cubics(image.shape[1], size[0])
    rows = sum(image.take(p, 1) * _along(1, w) for p, w in zip(places, weights))
    rows = rows.reshape(len(rows), -1)
    places, weights = _cubics(len(rows), size[1])
    # It takes eight numbers of a row at a time, and what is left in the end is rounded otherwise.
    vectors = rows.shape[1] // 8 * 8
    kinds = (np.float32, rows[:, :vectors], np.rint), (np.float64, rows[:, vectors:], _half_up)
    parts = []
    for dtype, part, rounded in kinds:
        taps = zip(places, weights.astype(dtype) * dtype(0.25**CUBIC_BITS))
        total = sum(part.take(p, 0).astype(dtype) * w[:, None] for p, w in taps)
        parts.append(rounded(total).clip(0, 255).astype(np.uint8))
    return np.concatenate(parts, axis=1).reshape(size[1], size[0], 3)


def _half_up(values: np.ndarray) -> np.ndarray:
    return np.floor(values + 0.5)


def _cubics(before: int, after: int):
    """(4, after) pixels that each pixel of the result is made of, and their weights, int32."""
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

"""Reads the masks of Pascal VOC's objects: SegmentationObject/*.png.

Each pixel has the number of its object in the order of the XML file, from 1 on, 0 for the
background, and 255 for the border of an object, which belongs to none. The numbers are stored as
grey values, or as the colours of VOC's palette (the development kit's VOClabelcolormap.m).
"""

from pathlib import Path
from typing import Sequence, Tuple

import cv2
import numpy as np

from detkit.data.images import decode_image
from detkit.errors import DataError, ImageError

VOID = 255


def _palette() -> np.ndarray:
    """Returns VOC's colours (256, 3) uint8 RGB: the bits of a number take turns, high bits last."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= ((numbers >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return colours


def read_masks(
    path: Path, size: Tuple[int, int], numbers: Sequence[int], most: int, max_pixels: int
) -> np.ndarray:
    """Returns the masks (G, H, W) uint8 of 0 and 1 of the objects with these numbers.

    size: (width, height) of the image in pixels.
    most: the number of objects in the XML file.

    Raises DataError if the file is missing, no image, or of another size, or if it has other
    numbers or colours.
    """
    pixels = _numbers(path, max_pixels)
    if pixels.shape != size[::-1]:
        raise DataError(
            f"{path}: expected the {size[0]} x {size[1]} pixels of the image, found "
            f"{pixels.shape[1]} x {pixels.shape[0]}"
        )
    largest = int(pixels[pixels != VOID].max(initial=0))
    if largest > most:
        raise DataError(f"{path}: expected the numbers of {most} objects, found {largest}")
    return (pixels == np.reshape(np.array(numbers, np.int64), (-1, 1, 1))).astype(np.uint8)


def _numbers(path: Path, max_pixels: int) -> np.ndarray:
    """Returns the number of each pixel (H, W)."""
    try:
        colours = decode_image(path, max_pixels)
    except ImageError as error:
        raise DataError(str(error)) from error
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored.ndim == 2:
        return stored
    palette = _palette()
    number_of = {tuple(colour): number for number, colour in enumerate(palette.tolist())}
    found, places = np.unique(colours.reshape(-1, 3), axis=0, return_inverse=True)
    unknown = [colour for colour in map(tuple, found.tolist()) if colour not in number_of]
    if unknown:
        raise DataError(f"{path}: expected the colours of VOC's palette, found {unknown[0]}")
    numbers = np.array([number_of[colour] for colour in map(tuple, found.tolist())])
    return numbers[places].reshape(colours.shape[:2])

"""The masks of the objects of one image, decoded from their segmentations."""

from typing import Optional, Sequence

import numpy as np

from detkit import segmentations
from detkit.errors import DataError
from detkit.segmentations import Segmentation

MASKS_OF_ONE_IMAGE = 10  # times max_pixels: the most bytes of the masks of an image


def decode_masks(
    outlines: Sequence[Optional[Segmentation]], height: int, width: int, max_pixels: int, where: str
) -> np.ndarray:
    """Returns the masks (G, height, width) uint8 of 0 and 1 of G segmentations.

    where: the place that a message begins with.

    Raises DataError if an object has no segmentation, and for masks that would need more than ten
    times ``max_pixels`` bytes.
    """
    needed = len(outlines) * height * width
    if needed > MASKS_OF_ONE_IMAGE * max_pixels:
        raise DataError(
            f"{where}: expected masks of at most {MASKS_OF_ONE_IMAGE * max_pixels} bytes, found "
            f"{len(outlines)} of {width} x {height} pixels; use smaller images, or raise "
            "data.max_pixels"
        )
    decoded = np.zeros((len(outlines), height, width), np.uint8)
    for outline, mask in zip(outlines, decoded):
        if outline is None:
            raise DataError(
                f"{where}: expected a segmentation of every object or of none, found an object "
                "without one"
            )
        mask[:] = segmentations.decode(outline, height, width)
    return decoded

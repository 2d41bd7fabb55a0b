"""The masks of the objects of one image, decoded from their segmentations."""

from typing import Optional, Sequence

import numpy as np

from detkit import segmentations
from detkit.data.sample import Annotation
from detkit.errors import DataError
from detkit.segmentations import Segmentation

MASKS_OF_ONE_IMAGE = 10  # times max_pixels: the most bytes of the masks of an image


def decode_masks(
    annotation: Annotation, outlines: Sequence[Optional[Segmentation]], max_pixels: int, where: str
) -> np.ndarray:
    """Returns the masks (G, H, W) uint8 of 0 and 1 of the G objects of an image.

    outlines: the segmentation of each object. The mask of an object without one is its box, as
        label tools and their converters export a rectangle among polygons.
    where: the place that a message begins with.

    Raises DataError for masks that would need more than ten times ``max_pixels`` bytes.
    """
    height, width = annotation.height, annotation.width
    needed = len(outlines) * height * width
    if needed > MASKS_OF_ONE_IMAGE * max_pixels:
        raise DataError(
            f"{where}: expected masks of at most {MASKS_OF_ONE_IMAGE * max_pixels} bytes, found "
            f"{len(outlines)} of {width} x {height} pixels; use smaller images, or raise "
            "data.max_pixels"
        )
    decoded = np.zeros((len(outlines), height, width), np.uint8)
    for outline, box, mask in zip(outlines, annotation.boxes, decoded):
        if outline is None:
            x1, y1, x2, y2 = box.astype(np.float64)
            outline = [np.array([x1, y1, x2, y1, x2, y2, x1, y2])]
        mask[:] = segmentations.decode(outline, height, width)
    return decoded

"""Instance masks: arrays of pixels, and COCO's ways of writing them (polygons, run lengths).

What comes from a file is checked before pycocotools' C code sees it: that trusts the numbers.
"""

from typing import Any, Dict, List, Tuple, Union

import numpy as np
from pycocotools import mask as coco_masks

THRESHOLD = (
    0.5  # a pixel of at least this probability is the object's (He et al. 2017, section 3.1)
)

RLE = Dict[str, Any]
Segmentation = Union[List[np.ndarray], RLE]

LEAST_NUMBERS = 6  # a polygon has three corners
# Each character of COCO's compressed run lengths carries 5 bits, and one that says: more follow.
FIRST_CHARACTER, BITS, MORE, LARGEST_SHIFT = 48, 5, 0x20, 60


def parse_segmentation(value: Any, height: int, width: int) -> Segmentation:
    """A ``segmentation`` of a COCO file, checked: polygons x1 y1 x2 y2 ..., or an RLE.

    height, width: of the image, which an RLE must have and a polygon may leave by its size at most.

    Polygons of less than three corners, which cover nothing, are left out. Raises ValueError with
    what was found and what was expected.
    """
    if isinstance(value, dict):
        return _parse_rle(value, height, width)
    if not isinstance(value, list):
        raise ValueError(
            f"segmentation is {type(value).__name__}, expected a list of polygons or an RLE"
        )
    polygons = [_parse_polygon(polygon, max(height, width)) for polygon in value]
    return [polygon for polygon in polygons if len(polygon) >= LEAST_NUMBERS]


def decode(segmentation: Segmentation, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of 0 and 1."""
    if isinstance(segmentation, list):
        if not segmentation:
            return np.zeros((height, width), np.uint8)
        segmentation = coco_masks.merge(coco_masks.frPyObjects(segmentation, height, width))
    return np.ascontiguousarray(coco_masks.decode(segmentation))


def encode(mask: np.ndarray) -> RLE:
    """The compressed RLE, {size: [height, width], counts: bytes}, of a mask (H, W) of 0 and 1."""
    return coco_masks.encode(np.asfortranarray(mask, np.uint8))


def fit(masks: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Masks (G, H, W) cut, or filled up with 0, at the right and below to (height, width)."""
    if masks.shape[1:] == tuple(size):
        return masks
    fitted = np.zeros((len(masks), *size), masks.dtype)
    part = masks[:, : size[0], : size[1]]
    fitted[:, : part.shape[1], : part.shape[2]] = part
    return fitted


def is_number(value: Any) -> bool:
    """Whether a value from a JSON file is a number, and one that a float can hold."""
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _parse_polygon(value: Any, reach: int) -> np.ndarray:
    if not isinstance(value, list) or len(value) % 2 or not all(map(is_number, value)):
        raise ValueError("a polygon of its segmentation is no list of numbers x, y, x, y, ...")
    polygon = np.array(value, np.float64)
    # Filling takes time and memory for every pixel of the outline. NaN fails the comparison too.
    if not ((polygon >= -reach) & (polygon <= 2 * reach)).all():
        raise ValueError("a polygon of its segmentation lies far outside the image")
    return polygon


def _parse_rle(value: Dict[str, Any], height: int, width: int) -> RLE:
    size, counts = value.get("size"), value.get("counts")
    if size != [height, width]:
        raise ValueError(
            f"its RLE has the size {size!r}, the image [height, width] = [{height}, {width}]"
        )
    if isinstance(counts, str):
        lengths = _run_lengths(counts)
        rle = {"size": size, "counts": counts.encode("ascii")}
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        lengths, rle = counts, value
    else:
        raise ValueError("its RLE has neither a text nor a list of whole numbers as counts")
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(
            f"the counts of its RLE are not lengths that add up to {height} x {width} pixels"
        )
    return rle if rle is not value else coco_masks.frPyObjects(value, height, width)


def _run_lengths(text: str) -> List[int]:
    """The run lengths of a compressed RLE (rleFrString of the COCO API), as Python's integers."""
    lengths: List[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - FIRST_CHARACTER
        if not 0 <= code < 2 * MORE or shift > LARGEST_SHIFT:
            raise ValueError(f"the counts of its RLE are no numbers from {character!r} on")
        value |= (code & (MORE - 1)) << shift
        shift += BITS
        if code & MORE:
            continue
        if code & (MORE >> 1):  # the sign
            value -= 1 << shift
        # From the fourth on, what is written is the difference from the last but one.
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the counts of its RLE end in the middle of a number")
    return lengths

"""Instance masks: arrays of pixels, and COCO's segmentations (polygons and run-length encodings).

A segmentation from a file is checked before it is passed to pycocotools, whose C code checks
nothing. pycocotools is imported when it is first needed, because a program that only detects needs
no RLEs.
"""

import reprlib
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

# A pixel of at least this probability belongs to the object (He et al. 2017, section 3.1).
THRESHOLD = 0.5

RLE = Dict[str, Any]
Segmentation = Union[List[np.ndarray], RLE]

LEAST_NUMBERS = 6  # of a polygon: x and y of three corners
# A character of COCO's compressed run lengths holds 5 bits and a flag: more characters follow.
FIRST_CHARACTER, BITS, MORE, LARGEST_SHIFT = 48, 5, 0x20, 60


def _coco_masks() -> Any:
    from pycocotools import mask

    return mask


def parse_segmentation(value: Any, height: int, width: int) -> Segmentation:
    """Checks a ``segmentation`` of a COCO file: polygons x1 y1 x2 y2 ..., or an RLE.

    height, width: the image's size in pixels. An RLE must have the same size; a polygon may reach
        beyond the image by at most the longer side.

    Polygons with fewer than three corners cover no pixel and are dropped. Raises ValueError for
    anything else.
    """
    if isinstance(value, dict):
        return parse_rle(value, height, width)
    if not isinstance(value, list):
        raise ValueError(
            f"segmentation: expected a list of polygons or an RLE, found {type(value).__name__}"
        )
    polygons = [_parse_polygon(polygon, max(height, width)) for polygon in value]
    return [polygon for polygon in polygons if len(polygon) >= LEAST_NUMBERS]


def parse_rle(value: Dict[str, Any], height: int, width: int) -> RLE:
    """Checks an RLE of a mask (height, width) from a file. Raises ValueError."""
    size, counts = value.get("size"), value.get("counts")
    if size != [height, width]:
        raise ValueError(
            f"segmentation: expected an RLE of the image's size [{height}, {width}], found {size!r}"
        )
    if isinstance(counts, str):
        lengths = _run_lengths(counts)
        rle: Optional[RLE] = {"size": size, "counts": counts.encode("ascii")}
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        lengths, rle = counts, None
    else:
        raise ValueError(
            "segmentation: expected counts of an RLE as a string or a list of integers, found "
            f"{reprlib.repr(counts)}"
        )
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(
            f"segmentation: expected counts of an RLE that add up to {height} x {width} pixels, "
            f"found {reprlib.repr(counts)}"
        )
    return rle or _coco_masks().frPyObjects(value, height, width)


def decode(segmentation: Segmentation, height: int, width: int) -> np.ndarray:
    """Returns the mask (height, width), uint8 of 0 and 1. The sizes are in pixels."""
    if isinstance(segmentation, list):
        if not segmentation:
            return np.zeros((height, width), np.uint8)
        polygons = _coco_masks().frPyObjects(segmentation, height, width)
        segmentation = _coco_masks().merge(polygons)
    return np.ascontiguousarray(_coco_masks().decode(segmentation))


def box_of(segmentation: Segmentation) -> Tuple[float, float, float, float]:
    """Returns the box x1 y1 x2 y2 around polygons or the pixels of an RLE; zeros around nothing."""
    if isinstance(segmentation, dict):
        x, y, width, height = _coco_masks().toBbox(segmentation).tolist()
        return x, y, x + width, y + height
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in segmentation])
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def area_of(segmentation: Segmentation, height: int, width: int) -> float:
    """Returns the number of pixels of a mask (height, width)."""
    return float(decode(segmentation, height, width).sum())


def outlines(mask: np.ndarray) -> List[np.ndarray]:
    """Returns the outlines of a mask (H, W) along the borders of its pixels, each (2 n,) float64.

    A hole has an outline, too. The points between an odd number of outlines are the mask.
    """
    padded = np.pad(np.asarray(mask, bool), 1).astype(np.int8)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    # An outline turns where one or three of four pixels are set. Where two set pixels touch at
    # their corners, two outlines turn.
    twice = np.argwhere((a == d) & (b == c) & (a != b))
    corners = np.concatenate([np.argwhere((a + b + c + d) % 2 == 1), twice, twice])[:, ::-1]
    # Along every row and every column, each second corner ends the edge that the first one begins.
    along = [_partners(np.lexsort(corners.T[order])) for order in ([0, 1], [1, 0])]
    left, closed = np.ones(len(corners), bool), []
    for first in range(len(corners)):
        outline, corner = [], first
        while left[corner]:
            other = along[0][corner]
            left[[corner, other]] = False
            outline += [corners[corner], corners[other]]
            corner = along[1][other]
        if outline:
            closed.append(np.concatenate(outline).astype(np.float64))
    return closed


def joined(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Returns one polygon (2 n,) with the area between an odd number of ``polygons``.

    It goes to each polygon and back along the same line, which covers no area.
    """
    parts = []
    for polygon in polygons:
        parts += [polygon, polygon[:2], polygons[0][:2]]
    return np.concatenate(parts[:-2] if len(polygons) == 1 else parts)


def _partners(order: np.ndarray) -> np.ndarray:
    """Returns the other corner of each corner's edge, for corners sorted along the edges."""
    partners = np.zeros(len(order), np.int64)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners


def encode(mask: np.ndarray) -> RLE:
    """Returns the compressed RLE, {size: [H, W], counts: bytes}, of a mask (H, W) of 0 and 1."""
    rle: RLE = _coco_masks().encode(np.asfortranarray(mask, np.uint8))
    return rle


def placed(mask: np.ndarray, left: int, top: int, size: Tuple[int, int]) -> RLE:
    """Returns {size, counts: list} of a mask (h, w) at a place in an image of size (W, H)."""
    width, height = size
    columns = np.zeros((mask.shape[1] + 1, height), np.uint8)  # one more, which ends the last run
    columns[:-1, top : top + mask.shape[0]] = mask.T
    changes = np.flatnonzero(np.diff(columns.ravel(), prepend=np.uint8(0))) + left * height
    counts: List[int] = np.diff(changes, prepend=0, append=width * height).tolist()
    return {"size": [height, width], "counts": counts}


def fit(masks: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns masks (G, H, W) at size (height, width): cropped or padded at right and bottom."""
    if masks.shape[1:] == tuple(size):
        return masks
    fitted = np.zeros((len(masks), *size), masks.dtype)
    part = masks[:, : size[0], : size[1]]
    fitted[:, : part.shape[1], : part.shape[2]] = part
    return fitted


def is_number(value: Any) -> bool:
    """Returns whether a value from a JSON file is a number that a float can hold."""
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _parse_polygon(value: Any, reach: int) -> np.ndarray:
    if not isinstance(value, list) or len(value) % 2 or not all(map(is_number, value)):
        raise ValueError(
            "segmentation: expected polygons of numbers x, y, x, y, ..., found "
            f"{reprlib.repr(value)}"
        )
    polygon = np.array(value, np.float64)
    # pycocotools needs time and memory for every pixel of the outline. NaN fails the test too.
    if not ((polygon >= -reach) & (polygon <= 2 * reach)).all():
        raise ValueError(
            f"segmentation: expected corners from {-reach} to {2 * reach} pixels, found "
            f"{reprlib.repr(value)}"
        )
    return polygon


def _run_lengths(text: str) -> List[int]:
    """Returns the run lengths of a compressed RLE (rleFrString of the COCO API)."""
    lengths: List[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - FIRST_CHARACTER
        if not 0 <= code < 2 * MORE or shift > LARGEST_SHIFT:
            raise ValueError(
                f"segmentation: expected counts of a compressed RLE, found {character!r} in them"
            )
        value |= (code & (MORE - 1)) << shift
        shift += BITS
        if code & MORE:
            continue
        if code & (MORE >> 1):  # the sign
            value -= 1 << shift
        # From the fourth on, a number is the difference from the last but one.
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError(
            "segmentation: expected whole numbers as counts of an RLE, found a last one cut short"
        )
    return lengths

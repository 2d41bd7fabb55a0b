"""The tiles of a large image: squares of one size that overlap and cover every pixel."""

import math
from typing import List, NamedTuple

import numpy as np

MOST_OVERLAP = 0.9  # more would be a tile for nearly every pixel
ROUNDING = 1e-9  # of a product of decimal fractions; tools/deploy/tiles.cpp has the same number


class Tile(NamedTuple):
    """A part of an image, x1 y1 x2 y2 in whole pixels of the image."""

    x1: int
    y1: int
    x2: int
    y2: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Returns the view of the tile's pixels in an image or a mask (H, W, ...)."""
        return image[self.y1 : self.y2, self.x1 : self.x2]

    @property
    def origin(self) -> np.ndarray:
        """The corner (4,) float32, x1 y1 x1 y1, that is subtracted from the boxes of the image."""
        return np.array([self.x1, self.y1, self.x1, self.y1], np.float32)


def check_tiles(size: int, overlap: float) -> None:
    """Raises ValueError for a side in pixels, or a share of it, that no tile can have."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size: expected a whole number of pixels, at least 1, found {size!r}")
    if not 0 <= overlap <= MOST_OVERLAP:
        raise ValueError(f"overlap: expected a share from 0 to {MOST_OVERLAP}, found {overlap!r}")


def cover(height: int, width: int, size: int, overlap: float) -> List[Tile]:
    """Returns the tiles of an image, row by row.

    height, width: the sides of the image in pixels.
    size: the side of a tile in pixels; a tile is as small as the image if that is smaller.
    overlap: the least share of a tile's side that it has in common with its neighbour.

    The last tile of a row or a column is moved back into the image, so that it shares more. All
    tiles of an image therefore have one shape.
    """
    tall, wide = min(size, height), min(size, width)
    rows, columns = starts(height, size, overlap), starts(width, size, overlap)
    return [Tile(x, y, x + wide, y + tall) for y in rows for x in columns]


def starts(side: int, size: int, overlap: float) -> List[int]:
    """Returns the first pixel of each tile along one side of an image; see ``cover``."""
    if size >= side:
        return [0]
    step = max(1, size - math.ceil(size * overlap - ROUNDING))
    count = -(-(side - size) // step) + 1
    return [min(number * step, side - size) for number in range(count)]

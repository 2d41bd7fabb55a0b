"""Checks of the arguments that several transforms have.

Each raises a ValueError that begins with the argument's name, by which a config finds its place.
"""

import math
from typing import Sequence, Tuple

import numpy as np


def probability(p: float, name: str = "p") -> float:
    """Returns a probability or a share in [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: expected a probability in [0, 1], found {p!r}")
    return p


def factors(name: str, values: Sequence[float]) -> Tuple[float, float]:
    """Returns the smallest and the largest factor, both at least 0."""
    if len(values) != 2 or not 0 <= values[0] <= values[1]:
        raise ValueError(f"{name}: expected (smallest, largest), both at least 0, found {values!r}")
    return values[0], values[1]


def limits(name: str, values: Sequence[float], least: float, most: float) -> Tuple[float, float]:
    """Returns the smallest and the largest value, both in [least, most]."""
    if len(values) != 2 or not least <= values[0] <= values[1] <= most:
        raise ValueError(
            f"{name}: expected (smallest, largest), both in [{least}, {most}], found {values!r}"
        )
    return values[0], values[1]


def number(name: str, value: float, least: float, most: float) -> float:
    """Returns a number in [least, most]."""
    if not least <= value <= most:
        raise ValueError(f"{name}: expected a number in [{least}, {most}], found {value!r}")
    return value


def sides(name: str, size: Sequence[int], most: int) -> Tuple[int, int]:
    """Returns (height, width) in pixels, both in [2, most]."""
    if len(size) != 2 or not 2 <= min(size) <= max(size) <= most:
        raise ValueError(
            f"{name}: expected (height, width), both from 2 to {most} pixels, found {size!r}"
        )
    return size[0], size[1]


def colour(name: str, values: Sequence[float]) -> np.ndarray:
    """Returns the red, green and blue of a colour, (3,) float32 in [0, 255]."""
    if len(values) != 3 or not all(math.isfinite(v) and 0 <= v <= 255 for v in values):
        raise ValueError(f"{name}: expected red, green and blue in [0, 255], found {values!r}")
    return np.array(values, np.float32)

"""The backgrounds and surfaces of the embedded dataset: two colours, mixed by a pattern."""

import colorsys
from typing import Callable, Sequence, Tuple

import cv2
import numpy as np


def _clouds(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    coarse = rng.random((int(rng.integers(3, 9)),) * 2, dtype=np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def _gradient(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    along = _ramp(size, rng.uniform(0, 2 * np.pi))
    return (along - along.min()) / (along.max() - along.min())


def _stripes(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    period = min(size) * rng.uniform(0.08, 0.25)
    waves = np.sin(2 * np.pi / period * _ramp(size, rng.uniform(0, 2 * np.pi)))
    return np.clip(0.5 + 2 * waves, 0, 1)


def _checker(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    frequency, angle = np.pi / (min(size) * rng.uniform(0.08, 0.2)), rng.uniform(0, 2 * np.pi)
    along, across = (_ramp(size, direction) for direction in (angle, angle + np.pi / 2))
    waves = np.sin(frequency * along) * np.sin(frequency * across)
    return np.clip(0.5 + 4 * waves, 0, 1)


def _ramp(size: Tuple[int, int], angle: float) -> np.ndarray:
    """Returns the distance in pixels along a direction, (H, W) float32."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns * np.cos(angle) + rows * np.sin(angle)).astype(np.float32)


# A pattern is an array (H, W) float32 of about [0, 1] that mixes two colours.
Pattern = Callable[[Tuple[int, int], np.random.Generator], np.ndarray]
SHADES: Tuple[Pattern, ...] = (_clouds, _gradient)
TEXTURES: Tuple[Pattern, ...] = (*SHADES, _stripes, _checker)


def ground(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Returns a background of two dull colours, (H, W, 3) float32."""
    hue, value = rng.random(), rng.uniform(0.25, 0.85)
    one = _rgb(hue, rng.uniform(0, 0.3), value)
    other = _rgb(hue + rng.uniform(-0.15, 0.15), rng.uniform(0, 0.3), value + rng.uniform(0.1, 0.2))
    return _mix(one, other, TEXTURES, size, rng)


def surface(size: Tuple[int, int], hue: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a surface of two similar vivid colours without edges, (H, W, 3) float32."""
    saturation, value = rng.uniform(0.65, 1), rng.uniform(0.6, 1)
    one = _rgb(hue, saturation, value)
    other = _rgb(hue + rng.uniform(-0.05, 0.05), saturation, value * rng.uniform(0.65, 0.9))
    return _mix(one, other, SHADES, size, rng)


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    colour = colorsys.hsv_to_rgb(hue % 1, saturation, min(value, 1))
    return np.float32(255) * np.array(colour, np.float32)


def _mix(
    one: np.ndarray,
    other: np.ndarray,
    patterns: Sequence[Pattern],
    size: Tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns two colours mixed by one of the patterns, (H, W, 3) float32."""
    pattern = patterns[rng.integers(len(patterns))](size, rng)
    return one + pattern[:, :, None] * (other - one)

"""Draws numbers over steps as lines in a panel with axes, ticks and a legend."""

import math
from typing import List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

Colour = Tuple[int, int, int]
FONT, SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
INK, GRID, FRAME = (40, 40, 40), (228, 228, 228), (150, 150, 150)
# Dark enough to be told apart on white, also with the common kinds of colour blindness.
COLOURS: Tuple[Colour, ...] = (
    (31, 96, 196),
    (214, 96, 0),
    (0, 134, 90),
    (190, 40, 110),
    (120, 80, 190),
    (140, 106, 0),
    (0, 140, 170),
    (200, 30, 30),
    (90, 90, 90),
    (70, 120, 20),
)
DASH, GAP = 7.0, 5.0  # pixels of a dashed line
FEW = 30  # points that are marked one by one
SHIFT = 4  # bits of a fraction of a pixel in OpenCV's coordinates
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 40, 44  # margins in pixels
ROW, SAMPLE = 18, 26  # the height of a row of the legend, the length of its piece of line


class Line(NamedTuple):
    """A line of a panel: its name in the legend, or "" for none, its points, its looks."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    colour: Colour
    dashed: bool = False


class _Axes(NamedTuple):
    """The ranges of the numbers, and the corners of their rectangle in pixels."""

    x: Tuple[float, float]
    y: Tuple[float, float]
    left: int
    top: int
    right: int
    bottom: int

    def pixel(self, step: float, value: float) -> Tuple[float, float]:
        across = (step - self.x[0]) / (self.x[1] - self.x[0])
        up = (value - self.y[0]) / (self.y[1] - self.y[0])
        height = self.bottom - self.top
        return self.left + across * (self.right - self.left), self.bottom - up * height


def draw_panel(
    title: str,
    lines: Sequence[Line],
    size: Tuple[int, int],
    last: float,
    empty: str = "",
    across: str = "step",
) -> np.ndarray:
    """Returns a panel (height, width, 3) uint8 RGB of the lines, whose values are from 0 on.

    size: its height and width. last: the step at the right edge. empty: what is written into a
    panel without a line. across: the name of the horizontal axis. A value far above the others, as
    the first loss of a training may be, is cut off at the upper edge.
    """
    height, width = size
    canvas = np.full((height, width, 3), 255, np.uint8)
    names = _legend(lines, width - LEFT - RIGHT)
    axes = _Axes(
        (0, 1.01 * max(last, 1)),  # the last points are whole
        (0, _top([value for line in lines for value in line.values])),
        LEFT,
        TOP + ROW * len(names),
        width - RIGHT,
        height - BOTTOM,
    )
    _text(canvas, title, (LEFT, 24), 0.55)
    _draw_axes(canvas, axes, across)
    for row, entries in enumerate(names):
        for left, line in entries:
            _draw_entry(canvas, line, (left, TOP + ROW * row))
    for line in lines:
        _draw_line(canvas, axes, line)
    if not lines:
        middle = (axes.left + axes.right - _width(empty)) // 2, (axes.top + axes.bottom) // 2
        _text(canvas, empty, middle)
    return canvas


def ticks(low: float, high: float, most: int) -> List[float]:
    """Returns the multiples of 1, 2 or 5 times a power of ten in [low, high], at most ``most``."""
    least = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * number for number in range(first, last + 1)]


def label(value: float) -> str:
    """Returns a short text of a number at an axis: '0', '0.25', '80k', '2e-05'."""
    for bound, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.4g}{suffix}"
    return f"{value:.4g}".replace("e-0", "e-")


def _top(values: Sequence[float]) -> float:
    """Returns the value of the upper edge."""
    if not values or max(values) <= 0:
        return 1.0
    return 1.06 * min(max(values), 3 * float(np.percentile(values, 90)) or max(values))


def _draw_axes(canvas: np.ndarray, axes: _Axes, across: str) -> None:
    for step in ticks(*axes.x, most=8):
        x = round(axes.pixel(step, 0)[0])
        cv2.line(canvas, (x, axes.top), (x, axes.bottom), GRID, 1)
        cv2.line(canvas, (x, axes.bottom), (x, axes.bottom + 4), FRAME, 1)
        text = label(step)
        _text(canvas, text, (x - _width(text) // 2, axes.bottom + 18))
    for value in ticks(*axes.y, most=6):
        y = round(axes.pixel(0, value)[1])
        cv2.line(canvas, (axes.left, y), (axes.right, y), GRID, 1)
        cv2.line(canvas, (axes.left - 4, y), (axes.left, y), FRAME, 1)
        text = label(value)
        _text(canvas, text, (axes.left - 8 - _width(text), y + 5))
    cv2.rectangle(canvas, (axes.left, axes.top), (axes.right, axes.bottom), FRAME, 1)
    _text(canvas, across, ((axes.left + axes.right - _width(across)) // 2, axes.bottom + 36))


def _draw_line(canvas: np.ndarray, axes: _Axes, line: Line) -> None:
    # Drawn into the rectangle alone, whose borders cut off what is above.
    inside = canvas[axes.top : axes.bottom + 1, axes.left : axes.right + 1]
    points = zip(line.steps, line.values)
    pixels = np.array([axes.pixel(*point) for point in points]).reshape(-1, 2)
    pixels = np.clip(pixels - (axes.left, axes.top), -1e5, 1e5)
    _stroke(inside, pixels, line)
    if len(pixels) <= FEW:
        for x, y in _fixed(pixels):
            cv2.circle(inside, (x, y), 3 << SHIFT, line.colour, cv2.FILLED, cv2.LINE_AA, SHIFT)


def _stroke(canvas: np.ndarray, pixels: np.ndarray, line: Line) -> None:
    """Draws a line through (n, 2) pixels, as dashes of one length if it is dashed."""
    pieces = _dashes(pixels) if line.dashed else [pixels]
    width = 2 if len(pixels) <= FEW else 1
    for piece in pieces:
        cv2.polylines(canvas, [_fixed(piece)], False, line.colour, width, cv2.LINE_AA, SHIFT)


def _dashes(pixels: np.ndarray) -> List[np.ndarray]:
    if len(pixels) < 2:
        return []
    lengths = np.hypot(*np.diff(pixels, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    pieces = []
    for start in np.arange(0, along[-1], DASH + GAP):
        end = min(start + DASH, along[-1])
        places = [start, *along[(along > start) & (along < end)], end]
        pieces.append(np.stack([np.interp(places, along, axis) for axis in pixels.T], axis=1))
    return pieces


def _fixed(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * (1 << SHIFT)).astype(np.int32)


def _legend(lines: Sequence[Line], width: int) -> List[List[Tuple[int, Line]]]:
    """Returns the rows of the legend: the left edge of each line's entry."""
    rows: List[List[Tuple[int, Line]]] = []
    left = width
    for line in filter(lambda each: each.name, lines):
        needed = SAMPLE + 6 + _width(line.name) + 18
        if left + needed > width:
            rows.append([])
            left = 0
        rows[-1].append((LEFT + left, line))
        left += needed
    return rows


def _draw_entry(canvas: np.ndarray, line: Line, corner: Tuple[int, int]) -> None:
    x, y = corner
    _stroke(canvas, np.array([[x, y], [x + SAMPLE, y]], float), line)
    _text(canvas, line.name, (x + SAMPLE + 6, y + 5))


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, FONT, SCALE, 1)[0][0])


def _text(canvas: np.ndarray, text: str, origin: Tuple[int, int], scale: float = SCALE) -> None:
    cv2.putText(canvas, text, origin, FONT, scale, INK, 1, cv2.LINE_AA)

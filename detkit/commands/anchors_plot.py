"""The plot of ``detkit anchors``: the shapes of boxes and anchors, and their recall."""

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from detkit.detections.draw import EXTENSIONS, save_image
from detkit.errors import DataError
from detkit.runner.chart import COLOURS, FONT, FRAME, GRID, INK, Colour, Line, draw_panel

PANEL = (520, 620)  # height and width in pixels
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 40, 44  # margins in pixels, as those of the other panel
MOST_POINTS = 5000  # boxes that are drawn
BOX = (150, 175, 210)  # the colour of a box, below the anchors
RECALL_FROM, RECALL_TO = 30, 95  # percent of IoU


class Judged(NamedTuple):
    """Anchors with the largest IoU of each object: A shapes, M objects.

    sides: (A, 2) widths and heights in pixels. centred: (M,) around the same centre.
    on_grid: (M,) at the places of the grid; None for shapes without a place.
    """

    name: str
    sides: np.ndarray
    centred: np.ndarray
    on_grid: Optional[np.ndarray]


def check_plot(path: str) -> None:
    """Raises DataError for a file that is no picture."""
    if Path(path).suffix.lower() not in EXTENSIONS:
        raise DataError(
            f"--plot {path}: expected a file that ends with one of {', '.join(EXTENSIONS)}"
        )


def write_plot(path: str, boxes: np.ndarray, shown: Sequence[Judged]) -> None:
    """Writes a picture of the boxes (M, 2), widths and heights, and of anchors beside them.

    Raises DataError if the file cannot be written.
    """
    save_image(path, np.hstack([_shapes(boxes, shown), _recall(shown)]))


def _recall(shown: Sequence[Judged]) -> np.ndarray:
    """Returns a panel of the recall over the IoU; solid on the grid, dashed if centred."""
    percent = np.arange(RECALL_FROM, RECALL_TO + 1)
    lines: List[Line] = []
    for one, colour in zip(shown, COLOURS[1:]):
        for iou, dashed in ((one.on_grid, False), (one.centred, True)):
            if iou is not None:
                recall = [float((100 * iou >= each).mean()) for each in percent]
                name = one.name + ", best possible" * dashed
                lines.append(Line(name, percent.tolist(), recall, colour, dashed))
    return draw_panel("recall of the objects", lines, PANEL, 100, across="IoU in %")


def _shapes(boxes: np.ndarray, shown: Sequence[Judged]) -> np.ndarray:
    """Returns a panel of widths and heights, both in pixels on logarithmic axes."""
    canvas = np.full((*PANEL, 3), 255, np.uint8)
    everything = np.concatenate([boxes, *(one.sides for one in shown)])
    low = int(np.floor(np.log2(max(1.0, everything.min()))))
    high = max(int(np.ceil(np.log2(everything.max()))), low + 1)
    _draw_axes(canvas, low, high)
    for side in boxes[:: -(-len(boxes) // MOST_POINTS)]:
        cv2.circle(canvas, _pixel(side, low, high), 1, BOX, cv2.FILLED, cv2.LINE_AA)
    for row, (one, colour) in enumerate(zip(shown, COLOURS[1:])):
        for side in one.sides:
            _mark(canvas, _pixel(side, low, high), colour, row)
        x, y = LEFT + 12, TOP + 18 + 18 * row
        _mark(canvas, (x, y - 4), colour, row)
        _write(canvas, one.name, (x + 14, y))
    return canvas


def _pixel(side: np.ndarray, low: int, high: int) -> Tuple[int, int]:
    """Returns the place of a width and height on axes from 2**low to 2**high pixels."""
    height, width = PANEL
    across, up = (np.log2(np.maximum(side, 1)) - low) / (high - low)
    x = LEFT + across * (width - LEFT - RIGHT)
    return round(float(x)), round(float(height - BOTTOM - up * (height - TOP - BOTTOM)))


def _draw_axes(canvas: np.ndarray, low: int, high: int) -> None:
    height, width = PANEL
    _write(canvas, "height over width in pixels; the points are boxes", (LEFT, 24))
    for power in range(low, high + 1):
        x, y = _pixel(np.array([2.0**power, 2.0**power]), low, high)
        cv2.line(canvas, (x, TOP), (x, height - BOTTOM), GRID)
        cv2.line(canvas, (LEFT, y), (width - RIGHT, y), GRID)
        text = str(2**power)
        _write(canvas, text, (min(x - 10, width - 9 * len(text)), height - 20))
        _write(canvas, text, (16, y + 5))
    cv2.rectangle(canvas, (LEFT, TOP), (width - RIGHT, height - BOTTOM), FRAME)


def _mark(canvas: np.ndarray, place: Tuple[int, int], colour: Colour, kind: int) -> None:
    cv2.drawMarker(canvas, place, colour, kind % 7, 11, 2, cv2.LINE_AA)


def _write(canvas: np.ndarray, text: str, place: Tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, FONT, 0.45, INK, 1, cv2.LINE_AA)

"""Draws the keypoints of an object, and the lines of its skeleton between them."""

from typing import Sequence, Tuple

import cv2
import numpy as np

LEAST_SCORE = 0.05  # of a keypoint that is drawn, as in Detectron2
RING = (255, 255, 255)  # the RGB colour around a point, which is visible on any background
FURTHEST = 2**14  # pixels from the corner of the image; OpenCV draws nothing sensible beyond


def draw_skeleton(
    canvas: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Sequence[Sequence[int]],
    colour: Tuple[int, int, int],
    line: int,
) -> None:
    """Draws the keypoints of at least LEAST_SCORE, and lines between two of them.

    canvas: (H, W, 3) uint8 RGB, which is changed. keypoints: (J, 3) x and y in its pixels, score.
    skeleton: pairs of indices of keypoints; pairs with an index from J on are left out.
    line: the width of the lines in pixels.
    """
    shown = {
        index: _pixel(point)
        for index, point in enumerate(keypoints)
        if point[2] >= LEAST_SCORE and np.isfinite(point).all()
    }
    for first, second in skeleton:
        if first in shown and second in shown:
            cv2.line(canvas, shown[first], shown[second], colour, line, cv2.LINE_AA)
    for centre in shown.values():
        cv2.circle(canvas, centre, line + 2, RING, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(canvas, centre, line + 1, colour, cv2.FILLED, cv2.LINE_AA)


def _pixel(point: np.ndarray) -> Tuple[int, int]:
    """Returns the column and the row of the pixel that a point lies in."""
    column, row = np.floor(np.clip(point[:2], -FURTHEST, FURTHEST)).astype(int).tolist()
    return column, row

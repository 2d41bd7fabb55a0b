"""Masks pasted over their boxes by numpy alone, for detectors that run without MXNet.

It is the arithmetic of detkit's operator (ops/native/cpu/mask_paste.cc), rounded at the same places
but for the last sum, so that the results differ by at most the last digit of a float32.
"""

from typing import NamedTuple, Tuple

import numpy as np

from detkit.constants import MAX_ROI_COORDINATE, MIN_ROI_SIDE

F32 = np.float32


class _Span(NamedTuple):
    """One axis of a box in whole pixels: ``length`` from ``start``; begin..end-1 in the image."""

    start: int
    length: int
    begin: int
    end: int


def pasted(probabilities: np.ndarray, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns masks (n, M, M) pasted over their boxes (n, 4): (n, height, width) float32.

    See detkit.ops.mask_paste. The sizes are in pixels.
    """
    result = np.zeros((len(boxes), height, width), F32)
    limit = F32(MAX_ROI_COORDINATE)
    clean = np.clip(np.where(np.isfinite(boxes), boxes, 0), -limit, limit).astype(F32)
    for mask, (x1, y1, x2, y2), image in zip(probabilities, clean, result):
        columns = _span(x1, np.maximum(x2, x1 + F32(MIN_ROI_SIDE)), len(mask), width)
        rows = _span(y1, np.maximum(y2, y1 + F32(MIN_ROI_SIDE)), len(mask), height)
        if columns.end <= columns.begin or rows.end <= rows.begin:
            continue
        padded = np.pad(mask.astype(F32), 1)
        low, part = _located(columns, len(mask))
        wide = (1 - part) * padded[:, low] + part * padded[:, low + 1]
        low, part = _located(rows, len(mask))
        part = part[:, None]
        inside = image[rows.begin : rows.end, columns.begin : columns.end]
        inside[...] = (1 - part) * wide[low] + part * wide[low + 1]
    return result


def _span(low: np.float32, high: np.float32, size: int, side: int) -> _Span:
    scale = F32((size + 2.0) / size)
    centre = F32((high + low) * F32(0.5))
    half = F32(float((high - low) * F32(0.5)) * float(scale))
    start, stop = int(centre - half), int(centre + half) + 1
    return _Span(start, stop - start, max(start, 0), min(stop, side))


def _located(span: _Span, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns where each pixel lies in the padded mask: between a cell and the next, and how far.

    Both are (end - begin,), int and float32.
    """
    pixels = np.arange(span.begin - span.start, span.end - span.start).astype(F32)
    at = F32(size + 2) / F32(span.length) * (pixels + F32(0.5)) - F32(0.5)
    within = np.clip(at, F32(0), F32(size + 1))
    low = np.minimum(within.astype(np.int64), size)
    return low, within - low.astype(F32)

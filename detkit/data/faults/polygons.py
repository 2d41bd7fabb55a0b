"""Faults of outlines: polygons that cross themselves, and objects without one among others."""

from typing import Iterator

import numpy as np

from detkit.data.faults.boxes import annotations, named
from detkit.data.faults.fault import Fault, Splits, place_of
from detkit.data.writers.entries import HasSegmentations
from detkit.wording import counted

BLOCK = 256  # edges that are compared with all others at once


def crossing_polygons(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each object with a polygon two of whose edges cross."""
    for split, index, dataset, annotation in annotations(splits):
        outlines = dataset.segmentations(index) if isinstance(dataset, HasSegmentations) else []
        for thing, outline in enumerate(outlines):
            polygons = outline if isinstance(outline, list) else []
            crossings = sum(count_crossings(np.reshape(each, (-1, 2))) for each in polygons)
            if crossings:
                name = named(dataset, annotation, thing)
                what = f"{name}: its edges cross at {counted(crossings, 'place')}"
                where = place_of(dataset, index, thing)
                yield Fault("crossing", (split,), where, what, ((split, index),), (thing,))


def boxes_among_polygons(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each object without an outline, if others of its split have some."""
    for split, dataset in splits.items():
        outlines = (
            [dataset.segmentations(index) for index in range(len(dataset))]
            if isinstance(dataset, HasSegmentations)
            else []
        )
        if all(outline is None for each in outlines for outline in each):
            continue
        for index, each in enumerate(outlines):
            annotation = dataset.annotation(index)
            for thing, outline in enumerate(each):
                if outline is None:
                    what = f"{named(dataset, annotation, thing)} has no polygon"
                    where = place_of(dataset, index, thing)
                    yield Fault("no-polygon", (split,), where, what, ((split, index),), (thing,))


def count_crossings(corners: np.ndarray) -> int:
    """Returns the number of pairs of edges of a polygon (n, 2) that cross within both of them.

    Edges that only touch do not cross: a polygon may run along itself to reach a second part.
    """
    begin = np.asarray(corners, np.float64)
    end = np.roll(begin, -1, axis=0)
    count = 0
    for start in range(0, len(begin), BLOCK):
        a, b = begin[start : start + BLOCK, None], end[start : start + BLOCK, None]
        apart = _side(a, b, begin) * _side(a, b, end) < 0
        count += int((apart & (_side(begin, end, a) * _side(begin, end, b) < 0)).sum())
    return count // 2


def _side(begin: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Returns -1, 0 or 1: the side of the line through two points that a third one lies on."""
    along, across = end - begin, point - begin
    return np.sign(along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0])

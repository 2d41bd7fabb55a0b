"""Faults of boxes that the readers keep: tiny ones, and those of an object that has one already."""

from typing import Iterator, Tuple

import numpy as np

from detkit.data.faults.fault import LEAST_SIDE, SAME, Fault, Splits, place_of
from detkit.data.sample import Annotation, Dataset
from detkit.detections.overlap import pairwise_iou


def tiny_boxes(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each box with a side of less than LEAST_SIDE pixels."""
    for split, index, dataset, annotation in annotations(splits):
        sides = annotation.boxes[:, 2:] - annotation.boxes[:, :2]
        for thing in np.flatnonzero((sides < LEAST_SIDE).any(axis=1)).tolist():
            width, height = sides[thing]
            what = f"{named(dataset, annotation, thing)} has {width:.3g} x {height:.3g} pixels"
            where = place_of(dataset, index, thing)
            yield Fault("tiny", (split,), where, what, ((split, index),), (thing,))


def duplicated_boxes(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each box that is, or nearly is, an earlier one of its class in the image.

    Difficult objects are left alone: a crowd may surround another one.
    """
    for split, index, dataset, annotation in annotations(splits):
        labels, ordinary = annotation.labels, ~annotation.difficult
        same = (labels[:, None] == labels) & ordinary[:, None] & ordinary
        iou = pairwise_iou(annotation.boxes, annotation.boxes) * np.tril(same, -1)
        for thing in np.flatnonzero((iou > SAME).any(axis=1)).tolist():
            first = int((iou[thing] > SAME).argmax())
            what = (
                f"{named(dataset, annotation, thing)} has IoU {iou[thing, first]:.2f} with that of "
                f"{place_of(dataset, index, first)}"
            )
            where = place_of(dataset, index, thing)
            yield Fault("duplicate", (split,), where, what, ((split, index),), (thing,))


def annotations(splits: Splits) -> Iterator[Tuple[str, int, Dataset, Annotation]]:
    """Yields (split, index, dataset, annotation) of every image."""
    for split, dataset in splits.items():
        for index in range(len(dataset)):
            yield split, index, dataset, dataset.annotation(index)


def named(dataset: Dataset, annotation: Annotation, thing: int) -> str:
    """Returns the class and the box of an object for a message."""
    box = " ".join(f"{side:g}" for side in annotation.boxes[thing])
    return f'"{dataset.class_names[annotation.labels[thing]]}" box {box}'

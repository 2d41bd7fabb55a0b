"""Proposals in MATLAB's files, as published with R-CNN and Fast R-CNN.

Their voc_2007_trainval.mat and others hold Selective Search's boxes in two variables: ``images``, a
cell array with the names of the images, and ``boxes``, a cell array with a matrix (R, 4) for each
image. Its columns are y1 x1 y2 x2, pixels that are counted from 1, the last one included. In
detkit's continuous coordinates the same pixels are x1 - 1, y1 - 1, x2, y2, as in VOC's annotations.
fast-rcnn subtracts 1 from all four columns and counts a box's width as x2 - x1 + 1, which is equal.
"""

from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from detkit.errors import DataError
from detkit.files.mat import read_mat

BOXES, IMAGES = "boxes", "images"
COLUMNS = (1, 0, 3, 2)  # y1 x1 y2 x2 -> x1 y1 x2 y2
FIRST_PIXEL = np.array([1, 1, 0, 0], np.float32)


def read_mat_proposals(path: Path) -> Iterator[Tuple[str, np.ndarray, np.ndarray]]:
    """Yields the name, the boxes (R, 4) float32 and the scores (R,) float32 of each image.

    The file has no scores. Those that are returned fall from 1, so that the order is the file's.

    Raises DataError, with the path, for a file of another format or content.
    """
    variables = read_mat(path, (BOXES, IMAGES))
    images, boxes = (_cells(path, variables, name) for name in (IMAGES, BOXES))
    if len(images) != len(boxes):
        raise DataError(
            f"{path}: expected as many cells in {IMAGES} as in {BOXES}, found {len(images)} and "
            f"{len(boxes)}"
        )
    for number, (name, corners) in enumerate(zip(images, boxes), 1):
        if not isinstance(name, str):
            raise DataError(
                f"{path}: {IMAGES}: cell {number}: expected a name, found {type(name).__name__}"
            )
        yield (name, *_proposals(path, name, corners))


def _cells(path: Path, variables: Dict[str, Any], name: str) -> List[Any]:
    value = variables.get(name)
    if not isinstance(value, list):
        found = "none" if value is None else type(value).__name__
        raise DataError(
            f"{path}: expected a cell array {name!r}, as in the files of Selective Search's boxes "
            f"that were published with Fast R-CNN, found {found}"
        )
    return value


def _proposals(path: Path, name: str, corners: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the boxes and the scores of an image."""
    if isinstance(corners, np.ndarray) and not corners.size:
        corners = corners.reshape(0, 4)
    if not isinstance(corners, np.ndarray) or corners.shape[1] != 4:
        found = corners.shape if isinstance(corners, np.ndarray) else type(corners).__name__
        raise DataError(
            f"{path}: image {name!r}: expected a matrix of boxes (R, 4), y1 x1 y2 x2, found {found}"
        )
    with np.errstate(over="ignore"):  # a number beyond float32 is refused as one that is infinite
        boxes = corners.astype(np.float32)[:, COLUMNS] - FIRST_PIXEL
    scores = 1 - np.arange(len(boxes)) / max(1, len(boxes))
    return boxes, scores.astype(np.float32)

"""The content of a dataset's files as a reader finds it, before it is compared with the images.

A reader of a format turns its files into one Record for each image, with one Thing for each object.
:class:`~detkit.data.readers.dataset.FileDataset` does with them what all formats share.
"""

import math
import reprlib
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from detkit.data.names import check_text
from detkit.data.sample import Faults
from detkit.errors import DataError
from detkit.segmentations import is_number
from detkit.wording import first_few

Corners = Tuple[float, float, float, float]
LONGEST_NUMBER = 40  # characters; a longer text is no coordinate


class Thing(NamedTuple):
    """One object as a file states it, in pixels of the image or in shares of its sides.

    where: the place that a message begins with, such as ``labels/a.txt:3``.
    name: the class.
    box: x1 y1 x2 y2; None: that of the segmentation.
    segmentation: polygons [[x, y, x, y, ...], ...], or an RLE as in COCO's files, or None.
    difficult: whether training and evaluation ignore the object.
    fault: the reason why the object cannot be used, or None.
    """

    where: str
    name: str
    box: Optional[Corners] = None
    segmentation: Any = None
    difficult: bool = False
    fault: Optional[str] = None


class Record(NamedTuple):
    """One image as the files of a dataset state it.

    name: the image's file below the folder of images, with "/"; it becomes the image's id.
    path: the file.
    things: the objects.
    size: (width, height) that the files state, or None.
    relative: whether boxes and polygons are shares of the image's sides instead of pixels.
    fault: the reason why the image cannot be used, or None.
    """

    name: str
    path: Path
    things: Sequence[Thing] = ()
    size: Optional[Tuple[int, int]] = None
    relative: bool = False
    fault: Optional[str] = None


def read_record(name: str, path: Path, read: Callable[[], Record]) -> Record:
    """Returns ``read()``, or a Record with the fault of a malformed annotation."""
    try:
        return read()
    except DataError as error:
        return Record(name, path, fault=str(error))


def summary(images: int, bad_images: Faults, dropped: Faults) -> str:
    """Returns a line on what was read and on the first things that could not be used."""
    reasons = [reason for _, reason in (*bad_images, *dropped)]
    return (
        f"{images} images were read, {len(bad_images)} cannot be used, and {len(dropped)} objects "
        f"were dropped: {first_few(reasons, 3) or 'none'}"
    )


def number(text: Any, where: str) -> float:
    """Returns a number of a text file, which may be infinite or NaN. Raises DataError."""
    try:
        if len(text) > LONGEST_NUMBER:
            raise ValueError
        return float(text)
    except (TypeError, ValueError) as error:
        found = repr(text) if text is None or len(text) <= LONGEST_NUMBER else "a longer text"
        raise DataError(f"{where}: expected a number, found {found}") from error


def class_name(text: Any, where: str) -> str:
    """Returns the name of a class without the blanks around it. Raises DataError if it is none."""
    check_text(text, where)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: expected the name of a class, found {text!r}")
    return text.strip()


def box_fault(box: Corners, width: int, height: int) -> Optional[str]:
    """Returns the reason why a box x1 y1 x2 y2 of an image of this size is dropped, or None."""
    x1, y1, x2, y2 = box
    numbers = f"box {x1:g} {y1:g} {x2:g} {y2:g}"
    if not all(map(math.isfinite, box)):
        return f"{numbers} is not finite"
    if x2 <= x1 or y2 <= y1:
        return f"{numbers} has no area"
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return f"{numbers} lies outside the image of {width} x {height} pixels"
    return None


def points_of(value: Any, where: str) -> List[Tuple[float, float]]:
    """Returns the points of [[x, y], ...] in a JSON file. Raises DataError."""
    is_list = isinstance(value, list) and all(isinstance(p, list) and len(p) == 2 for p in value)
    if not is_list or not all(is_number(side) for point in value for side in point):
        raise DataError(f"{where}: expected points [x, y] of numbers, found {reprlib.repr(value)}")
    return [(float(x), float(y)) for x, y in value]


def box_around(points: Sequence[Tuple[float, float]]) -> Corners:
    """Returns the box x1 y1 x2 y2 around points."""
    across, down = zip(*points)
    return min(across), min(down), max(across), max(down)

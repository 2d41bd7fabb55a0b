"""The faults that the readers recorded: dropped objects and bad images, by their reasons."""

import re
from pathlib import Path
from typing import Iterator, Sequence, Tuple

from detkit.data.faults.fault import Fault, Splits
from detkit.data.image_headers import format_of, size_of
from detkit.data.images import SIZE_BYTES

Patterns = Sequence[Tuple[str, str]]  # (kind, what its reasons contain); the first one counts
OF_OBJECTS: Patterns = (
    ("other-class", "is not in class_names|expected that of a category"),
    ("degenerate", "has no area|is not finite"),
    ("outside", "lies outside"),
)
OF_IMAGES: Patterns = (
    ("missing", r"no such file|expected an image of this name"),
    ("truncated", "truncated|empty file"),
    ("size", "pixels of the annotation"),
    ("unreadable", "cannot decode|expected JPEG, PNG|a folder|in (the|its) header|JPEG of at most"),
)
SIZES = re.compile(
    r"^(.*): expected the (\d+) x (\d+) pixels of the annotation, found (\d+) x (\d+)"
)


def recorded_objects(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each object that a reader dropped."""
    for split, dataset in splits.items():
        for image_id, reason in dataset.dropped:
            if not reason.endswith("it is marked difficult"):  # the config asks for it
                where, quoted, what = reason.partition(': "')
                found = (where, f'"{what}') if where and quoted else (str(image_id), reason)
                yield Fault(kind_of(found[1], OF_OBJECTS, "unusable"), (split,), *found)


def recorded_images(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each image that a reader left out."""
    for split, dataset in splits.items():
        for image_id, reason in dataset.bad_images:
            where, colon, what = reason.partition(": ")
            found = (where, what) if colon else (str(image_id), reason)
            # Of the reason without the place: a folder may be named "truncated".
            kind = _turned(reason) or kind_of(found[1], OF_IMAGES, "malformed")
            yield Fault(kind, (split,), *found)


def kind_of(reason: str, patterns: Patterns, other: str) -> str:
    """Returns the first kind whose pattern the reason contains, or else the other one."""
    return next((kind for kind, pattern in patterns if re.search(pattern, reason)), other)


def _turned(reason: str) -> str:
    """Returns "orientation" if the sizes differ because EXIF turns the image, and "" otherwise."""
    found = SIZES.match(reason)
    if found is None:
        return ""
    width, height = int(found[2]), int(found[3])
    swapped = (height, width) == (int(found[4]), int(found[5]))
    return "orientation" if swapped and stored_size(Path(found[1])) == (width, height) else ""


def stored_size(path: Path) -> Tuple[int, int]:
    """Returns (width, height) of an image as it lies in its file, before EXIF turns it."""
    with open(path, "rb") as file:
        head = file.read(SIZE_BYTES)
    return size_of(str(format_of(head)), head) or (0, 0)

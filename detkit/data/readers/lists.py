"""The lists that a config gives to every reader: the names of classes, and those of images."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Collection, Dict, List, Optional, Sequence, Set, Tuple, Union

from detkit.data.names import check_text
from detkit.errors import DataError
from detkit.wording import first_few, the_nearest

Names = Union[Sequence[str], str, None]  # a list, the path of a file with one name per line, none
CLASS_FILE = "classes.txt"  # the usual name of a file of class names


def text_lines(path: Path, what: str) -> List[str]:
    """Returns the lines of a text file in UTF-8, a last one may be empty; ``what`` names it.

    Raises DataError, with the .txt files beside it, if the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise DataError(f"{path}: expected {what} in UTF-8: {error}") from error
        beside = first_few(sorted(file.name for file in path.parent.glob("*.txt")))
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{path}: expected {what}, found: {reason}; the .txt files of {path.parent}: "
            f"{beside or '(none)'}"
        ) from error


def given_classes(names: Names) -> Optional[Tuple[str, ...]]:
    """Returns the class names of a config, a list or the path of a file; None for null.

    Raises ValueError for an empty list and for a name that is in it twice, and DataError for a file
    that cannot be read.
    """
    if names is None:
        return None
    if isinstance(names, str):
        lines = text_lines(Path(names).expanduser(), "class names, one per line")
        names = [line for line in lines if line.strip()]
    stripped = tuple(str(name).strip() for name in names)
    repeated = sorted({name for name in stripped if stripped.count(name) > 1})
    if not stripped or repeated:
        found = f"{', '.join(map(repr, repeated))} more than once" if repeated else "none"
        raise ValueError(f"class_names: expected names that differ, found {found}")
    return stripped


def unknown_class(name: str, class_names: Sequence[str]) -> str:
    """Returns the reason why an object of another class is dropped, with the nearest name."""
    return f'"{name}" is not in class_names{the_nearest(name, class_names)}'


def listed_images(image_list: str, known: Collection[str], source: str) -> Set[str]:
    """Returns the images of ``known`` that a text file lists, one name per line.

    image_list: the path of the file. Blank lines are skipped.
    known: the names of the images of ``source``.

    A name may leave out the suffix if only one image has it then. Raises DataError for a name that
    no image has or that several have, with its line, and for a list without names.
    """
    file = Path(image_list).expanduser()
    stems: Dict[str, List[str]] = {}
    for name in known:
        stems.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(name)
    chosen = set()
    for number, line in enumerate(text_lines(file, "names of images, one per line"), 1):
        name, where = line.strip(), f"{file}:{number}"
        if not name:
            continue
        check_text(name, where)
        matches = [name] if name in known else stems.get(name, [])
        if len(matches) != 1:
            found = first_few(matches) if matches else f"{name!r}{the_nearest(name, known)}"
            raise DataError(
                f"{where}: expected the name of one image of {source}, such as "
                f"{next(iter(known), 'none')!r}, found {found}"
            )
        chosen.add(matches[0])
    if not chosen:
        raise DataError(f"{file}: expected names of images, one per line, found none")
    return chosen


def part_of(names: Collection[str], part: Sequence[float], source: str) -> Set[str]:
    """Returns a share of the images of ``source``, drawn by their names alone.

    part: [begin, end] in [0, 1], of the images in the order of the sha256 of their names. Parts
        that do not overlap have no image in common, whatever the order of the file, and [0, 0.8]
        and [0.8, 1] together have all.

    Raises ValueError for other numbers, and DataError for a part without an image.
    """
    if len(part) != 2 or not 0 <= part[0] < part[1] <= 1:
        raise ValueError(
            f"image_part: expected [begin, end] with 0 <= begin < end <= 1, found {part}"
        )
    drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    begin, end = (round(share * len(drawn)) for share in part)
    if begin == end:
        raise DataError(
            f"{source}: expected an image in image_part {list(part)}, found none; there are "
            f"{len(drawn)} images"
        )
    return set(drawn[begin:end])

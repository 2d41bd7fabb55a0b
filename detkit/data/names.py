"""Checks names and sizes that an annotation file states, before anything is done with them."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from detkit.errors import DataError
from detkit.wording import did_you_mean


def path_below(folder: Path, name: str, where: str) -> Path:
    """Returns the path of a file that an annotation names, which lies below ``folder``.

    where: the place that a message begins with.

    An annotation comes from elsewhere: it must not make a training read (and draw) other files of
    the user. Symbolic links below the folder are followed, because whoever made the folder made
    them. Raises DataError for an absolute name and for one with "..".
    """
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive
    if outside or ".." in name.replace("\\", "/").split("/"):
        raise DataError(
            f"{where}: expected the name of a file below {folder}, found {name!r}; move the file "
            "there, or make a symbolic link there"
        )
    return folder / name


def check_folder(folder: Path, what: str) -> None:
    """Raises DataError, which says where a relative path was looked for, unless a folder is there.

    what: the name of the argument that has the path.
    """
    if not os.path.isdir(folder):
        found = "a file" if is_file(folder) else "none"
        above = folder.absolute().parent
        beside = [path.name for path in above.iterdir() if path.is_dir()] if above.is_dir() else []
        hint = did_you_mean(folder.name, beside)
        raise DataError(
            f"{what}: expected a folder, found {found} at {folder}{relative_to(folder)}{hint}"
        )


def relative_to(path: Path) -> str:
    """Returns where a relative path of a config was looked for; "" of an absolute one.

    Paths of data are relative to the working directory, and not to the config.
    """
    return "" if path.is_absolute() else f" (in the working directory {os.getcwd()})"


def is_file(path: Path) -> bool:
    """Returns whether a file is there; False also for names that no file can have."""
    try:
        return os.path.isfile(path)
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Returns whether a folder is there; False also for names that no folder can have."""
    try:
        return os.path.isdir(path)
    except (OSError, ValueError):
        return False


def check_text(text: Any, where: str) -> None:
    """Raises DataError for text that cannot be printed or written to a file: half a character.

    JSON can hold one of two surrogates, which UTF-8 cannot.
    """
    if not isinstance(text, str):
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: expected text, found {text!r}, whose character {error.start} is half of a "
            "surrogate pair"
        ) from error


def check_pixels(width: int, height: int, max_pixels: int, where: str) -> None:
    """Raises DataError unless an annotation's image has from 1 to ``max_pixels`` pixels."""
    if not (width >= 1 and height >= 1 and width * height <= max_pixels):
        raise DataError(
            f"{where}: expected sides of at least 1 and together at most {max_pixels} pixels, "
            f"found {width} x {height}; if the image is that large, raise data.max_pixels"
        )

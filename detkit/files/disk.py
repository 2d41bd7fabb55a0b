"""Folders, files that are complete or absent, and checksums."""

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from detkit.errors import DataError, DetkitError

CHUNK = 1 << 20  # bytes


def make_folder(path: Union[str, Path]) -> None:
    """Makes a folder and its parents.

    Raises DetkitError if that is impossible or the folder cannot be written to, so that a tool
    stops at once and not after hours of training.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        found = "a file" if os.path.isfile(path) else f"none ({error.strerror})"
        raise DetkitError(
            f"{path}: expected a writable folder, found {found}; choose another one, or correct "
            "its permissions"
        ) from error


def cache_folder(name: str) -> Path:
    """Returns $DETKIT_CACHE/NAME, or ~/.cache/detkit/NAME by default; it may not exist yet."""
    return Path(os.environ.get("DETKIT_CACHE") or "~/.cache/detkit").expanduser() / name


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which is renamed to ``path`` at the end.

    The file ``path`` is therefore complete or absent, after a loss of power too. Raises DataError
    if it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        sync(part)
        os.replace(part, path)
        sync(path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if part.exists():
            part.unlink()


def sync(path: Union[str, Path]) -> None:
    """Waits until a file's content, or the names in a folder, are on the disk. Raises OSError.

    Without this, a loss of power after a rename can leave the new name with an empty file, or with
    the old one.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Union[str, Path]) -> str:
    """Returns the sha256 of a file in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()

"""Folders, files that are complete or absent, and checksums."""

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from detkit.errors import DataError, DetkitError

CHUNK = 1 << 20  # bytes


def make_folder(path):
    """Make a folder and those above it.

    Raises DetkitError where that is not possible, or where nothing can be written into it: better
    now than after hours of training.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = "a file of that name" if os.path.isfile(path) else error.strerror
        raise DetkitError(
            f"{path}: expected a folder that can be written to, found: {reason}; name another "
            "one, or mend its permissions"
        ) from error


def cache_folder(name: str) -> Path:
    """$DETKIT_CACHE/NAME, else ~/.cache/detkit/NAME; it need not be there yet."""
    return Path(os.environ.get("DETKIT_CACHE") or "~/.cache/detkit").expanduser() / name


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the path to write to, which becomes ``path`` at the end.

    Raises DataError where that is not possible.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path}: results cannot be written: {error.strerror}") from error
    finally:
        if part.exists():
            part.unlink()


def sha256_of(path: Union[str, Path]) -> str:
    """The sha256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()

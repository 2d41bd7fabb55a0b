"""A file of results that is complete or not there at all, and the sum that tells files apart."""

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from detkit.errors import DataError

CHUNK = 1 << 20  # bytes


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

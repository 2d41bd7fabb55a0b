"""A file of results that is complete or not there at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from detkit.errors import DataError


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

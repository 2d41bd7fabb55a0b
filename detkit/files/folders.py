"""Folders for what a run writes, and for what is kept from one run to the next."""

import os
import tempfile
from pathlib import Path

from detkit.errors import DetkitError


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

"""The file SHA256SUMS of a checkpoint, which detects damage and an incomplete folder."""

import os
import re
from typing import Dict, Iterable

from detkit.checkpoints.names import CONFIG, OPTIMIZER, STATE, SUMS, THRESHOLD, WEIGHTS
from detkit.errors import CheckpointError
from detkit.files.disk import sha256_of

FILES = (WEIGHTS, OPTIMIZER, STATE, CONFIG)  # of every checkpoint
LONGEST = 1 << 20  # characters
# The copy of a plugin. No part of its path is "..".
_PLUGIN = re.compile(r"plugins/[0-9a-f]{12}(/(?!\.\.(/|$))[^/]+)+")


def sums_text(folder: str, names: Iterable[str]) -> str:
    """Returns the sums of files as sha256sum prints them."""
    return "".join(f"{sha256_of(os.path.join(folder, name))}  {name}\n" for name in names)


def read_sums(path: str) -> Dict[str, str]:
    """Returns {name: sha256} of the files of a checkpoint, whose content is not verified.

    Raises CheckpointError if the file of sums cannot be read, or if it names a file elsewhere.
    """
    try:
        # Nothing but a file: opening a pipe would wait for ever.
        if not os.path.isfile(os.path.join(path, SUMS)):
            raise FileNotFoundError(SUMS)
        with open(os.path.join(path, SUMS), encoding="utf-8") as file:
            lines = [line.split(maxsplit=1) for line in file.read(LONGEST).splitlines()]
        sums = {name: digest for digest, name in lines}
    except (OSError, ValueError):
        raise CheckpointError(
            f"{path}: expected a complete checkpoint, found no readable {SUMS}, which is written "
            "last; use another checkpoint (--resume auto takes the latest complete one)"
        ) from None
    for name in sums:
        if name not in (*FILES, THRESHOLD) and not _PLUGIN.fullmatch(name):
            raise CheckpointError(
                f"{path}: {SUMS}: expected the names of a checkpoint's files, found {name!r}; use "
                "another checkpoint"
            )
    return sums


def verify(path: str) -> None:
    """Raises CheckpointError unless a checkpoint's files have the sums that it lists."""
    sums = read_sums(path)
    for name in dict.fromkeys((*FILES, *sums)):
        member = os.path.join(path, name)
        if not os.path.isfile(member) or sha256_of(member) != sums.get(name):
            raise CheckpointError(
                f"{member}: expected the file with the sha256 in {SUMS}, found another or none; "
                "use another checkpoint"
            )

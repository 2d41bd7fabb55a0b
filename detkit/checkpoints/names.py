"""The names in a folder of checkpoints, and what a process that was killed leaves there."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, List, Optional

from detkit.errors import CheckpointError
from detkit.files.disk import whole_file

WEIGHTS, OPTIMIZER, STATE, CONFIG = (
    "weights.params",
    "optimizer.params",
    "state.json",
    "config.yaml",
)
SUMS, THRESHOLD = "SHA256SUMS", "threshold.json"
FOLDER = "checkpoints"  # of a run, within its work folder
LAST, BEST = "last", "best"  # files that name a checkpoint
_LONGEST = 1 << 16  # bytes of such a file that are read
TEMPORARY, ASIDE = ".partial-", ".old"
# A user's own copies (step-00000012-good) have other names, and nothing here touches them.
_NAME = re.compile(r"step-([0-9]+)")
_LEFT = re.compile(rf"{re.escape(TEMPORARY)}(step-[0-9]+)({re.escape(ASIDE)})?")


def step_of(path: str) -> int:
    """Returns the number of training steps of a checkpoint that ``numbered`` returned."""
    return int(os.path.basename(path)[len("step-") :])


def numbered(folder: str) -> List[str]:
    """Returns the paths of the checkpoints in ``folder``, the oldest first, damaged ones too.

    A checkpoint is a folder whose name is ``step-`` and digits, and nothing else.
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, name) for name in sorted(names) if _NAME.fullmatch(name)]
    return sorted(filter(os.path.isdir, paths), key=step_of)


def find_checkpoints(folder: str) -> List[str]:
    """Returns the paths of the complete checkpoints in ``folder``, the oldest first."""
    return [path for path in numbered(folder) if os.path.isfile(os.path.join(path, SUMS))]


def write_name(file_path: str, content: Any) -> None:
    """Writes a file that names a checkpoint under the key ``checkpoint``. Raises DataError."""
    with whole_file(Path(file_path)) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_name(file_path: str) -> Any:
    """Returns the content of such a file. Raises OSError, ValueError or RecursionError."""
    with open(file_path, "rb") as file:
        return json.loads(file.read(_LONGEST))


def folder_of(path: str) -> str:
    """Returns the folder of the checkpoint ``path``, which may be a file that names one beside it.

    ``checkpoints/best`` and ``checkpoints/last`` are such files. An earlier detkit made ``best`` a
    link. Another path is returned as it is.

    Raises CheckpointError for a file that names none.
    """
    if not os.path.isfile(path):
        return path
    try:
        content = read_name(path)
        name = content["checkpoint"]
        if not isinstance(name, str) or name in ("", "..") or os.path.basename(name) != name:
            raise ValueError(f"found {name!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint, which is a folder, or a file that names one beside it "
            f"as {BEST} does, found another file ({error})"
        ) from error
    return os.path.join(os.path.dirname(path), name)


def find_best(folder: str) -> Optional[str]:
    """Returns the real path of the checkpoint that ``folder``/best names; None if it names none."""
    path = os.path.join(folder, BEST)
    try:
        return os.path.realpath(folder_of(path)) if os.path.lexists(path) else None
    except CheckpointError:
        return None


def mend_checkpoints(folder: str) -> None:
    """Cleans up ``folder`` after a process that was killed while it saved a checkpoint.

    Raises CheckpointError if the folder cannot be changed.
    """
    try:
        _mend(folder)
    except OSError as error:
        raise CheckpointError(
            f"{error.filename or folder}: expected a folder that can be changed, found that it "
            f"cannot: {error.strerror}; correct the permissions"
        ) from error


def _mend(folder: str) -> None:
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        left, match = os.path.join(folder, name), _LEFT.fullmatch(name)
        if match is None:
            continue
        whole = os.path.join(folder, match[1])
        if match[2] and os.path.isdir(left) and not os.path.lexists(whole):
            os.rename(left, whole)  # the process died between the two renames
        else:
            remove(left)


def remove(path: str) -> None:
    """Removes a folder with its content, or a file or a link; does nothing if there is none."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)

"""The threshold of a checkpoint: ``threshold.json``, which is written after the weights.

A checkpoint is read by its sums, and the file belongs to it if SHA256SUMS lists it. A new threshold
replaces three files, one after the other, and each of the states in between is a whole checkpoint:

    1  SHA256SUMS without the file: the checkpoint has no threshold
    2  threshold.json, which nothing lists yet
    3  SHA256SUMS with the file: the checkpoint has the new threshold
"""

import json
import os
from pathlib import Path
from typing import Dict, Optional

from detkit.checkpoints.names import SUMS, THRESHOLD
from detkit.checkpoints.sums import read_sums, sums_text, verify
from detkit.errors import CheckpointError, DataError
from detkit.files.disk import whole_file
from detkit.threshold import EXPECTED, Threshold, is_threshold, threshold_of

LARGEST = 1 << 20  # bytes of a threshold.json: the scores of thousands of classes fit


def threshold_files(threshold: Optional[Threshold]) -> Dict[str, bytes]:
    """Returns {name: content} of the file of a threshold; empty for None."""
    return {} if threshold is None else {THRESHOLD: _text(threshold).encode()}


def read_threshold(path: str, classes: int) -> Optional[Threshold]:
    """Returns the threshold of a verified checkpoint of K classes, None if it has none.

    Raises CheckpointError if a value makes no sense.
    """
    if THRESHOLD not in read_sums(path):
        return None
    file_path = os.path.join(path, THRESHOLD)
    try:
        with open(file_path, "rb") as file:
            value = json.loads(file.read(LARGEST).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file_path}: expected a JSON file: {error}") from error
    if not is_threshold(value, classes):
        raise CheckpointError(
            f"{file_path}: expected {EXPECTED}, as there are {classes} classes, found another "
            "value; detkit test --threshold writes it again"
        )
    return threshold_of(value)


def write_threshold(path: str, threshold: Threshold) -> None:
    """Writes the threshold of a checkpoint; its other files stay as they are.

    Raises CheckpointError if the checkpoint is damaged or cannot be changed. It is then as it was,
    or without a threshold.
    """
    verify(path)
    names = [name for name in read_sums(path) if name != THRESHOLD]
    try:
        _write(path, SUMS, sums_text(path, names))
        _write(path, THRESHOLD, _text(threshold))
        _write(path, SUMS, sums_text(path, [*names, THRESHOLD]))
    except (OSError, DataError) as error:
        raise CheckpointError(
            f"{path}: the threshold cannot be written: {error}; make room or correct the "
            "permissions, then choose it again"
        ) from error


def _text(threshold: Threshold) -> str:
    return json.dumps(threshold.to_json(), indent=1) + "\n"


def _write(path: str, name: str, text: str) -> None:
    with whole_file(Path(path, name)) as part:
        part.write_text(text, encoding="utf-8")

"""The results of many trainings: their files and their figures."""

import json
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from detkit.files.disk import whole_file


def read_json(path: Path) -> Any:
    """Returns the content of a file of JSON, and None if it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_json(path: Path, content: Any) -> None:
    """Writes a whole file of JSON."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a whole file of text."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def spread(values: Sequence[float], digits: int = 1, sign: str = "") -> str:
    """Returns a number, or the mean of several and their sample deviation.

    sign: "+" writes the sign of a positive mean, too.
    """
    mean = f"{np.mean(values):{sign}.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"

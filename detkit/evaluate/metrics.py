"""The metrics of an evaluator: their mean, their table, and their JSON."""

import json
import math
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Union

import numpy as np

from detkit.files.disk import whole_file


def mean(values: Iterable[float]) -> float:
    """Returns the mean of the values that are not nan; nan if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def format_table(metrics: Mapping[str, Any]) -> str:
    """Returns a table of the metrics in percent: the AP50 of each class, then the others."""
    per_class = metrics.get("per_class", {})
    means = {name: value for name, value in metrics.items() if name != "per_class"}
    width = max(map(len, ["class", *per_class, *means]))
    rule = "-" * (width + 8)
    rows = [_row(name, value, width) for name, value in per_class.items()]
    head = [f"{'class':<{width}}  AP50 %", rule, *rows, rule] if rows else []
    return "\n".join([*head, *(_row(name, value, width) for name, value in means.items())])


def _row(name: str, value: float, width: int) -> str:
    return f"{name:<{width}}  {'-' if math.isnan(value) else format(100 * value, '.1f'):>6}"


def save_metrics(
    folder: Union[str, Path],
    metrics: Mapping[str, Any],
    name: str = "result.json",
    about: Optional[Mapping[str, Any]] = None,
) -> Path:
    """Writes `metrics` as JSON into `folder` and returns the path. Raises DataError on failure.

    about: further keys, which say what the metrics are of.
    """
    path = Path(folder) / name
    with whole_file(path) as part:
        content = {**metrics_to_json(metrics), **(about or {})}
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def metrics_to_json(metrics: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns the metrics as plain floats, with None for nan, which JSON does not have."""
    return {
        name: metrics_to_json(value)
        if isinstance(value, Mapping)
        else (None if math.isnan(value) else float(value))
        for name, value in metrics.items()
    }

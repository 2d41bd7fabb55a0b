"""The metrics of an evaluator: their mean, their table, and their JSON."""

import json
import math
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Union

import numpy as np

from detkit.files.disk import whole_file
from detkit.threshold import threshold_of


def mean(values: Iterable[float]) -> float:
    """Returns the mean of the values that are not nan; nan if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


COLUMNS = ("AP50", "objects", "precision", "recall", "F1")  # of each class, in a table
BESIDE = ("per_class", "classes", "rule", "threshold")  # the keys of a result that are no metric


def format_table(result: Mapping[str, Any]) -> str:
    """Returns a table of the metrics in percent: the COLUMNS of each class, then the others.

    result: the metrics, and perhaps what ``by_class`` says. Without it, the classes have their AP50
        alone.
    """
    per_class, classes = result.get("per_class", {}), result.get("classes")
    means = {name: value for name, value in result.items() if name not in BESIDE}
    columns = COLUMNS if classes else COLUMNS[:1]
    titles = [name if name == "objects" else f"{name} %" for name in columns]
    titles[0] += f", {result['rule']}" if "rule" in result else ""
    width = max(map(len, ["class", *per_class, *means]))
    widths = [-width, *(max(len(title), 6) for title in titles)]
    head = _aligned(["class", *titles], widths)
    line = "-" * len(head)
    rows = []
    for name, value in per_class.items():
        row = classes[name] if classes else {"AP50": value}
        rows.append(_aligned([name, *(_cell(row, column) for column in columns)], widths))
    below = [_aligned([name, _percent(value)], widths) for name, value in means.items()]
    above = [_about(result["threshold"])] if "threshold" in result else []
    return "\n".join([*([*above, head, line, *rows, line] if rows else ()), *below])


def _about(threshold: Mapping[str, Any]) -> str:
    """Returns the line that says at which threshold precision, recall and F1 are."""
    used, in_force = threshold_of(threshold), threshold["in_force"]
    kind = str(used) if in_force else f"{used.shown}, which has the best F1 on {used.split}"
    return f"precision, recall and F1 at {kind}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Returns cells in columns, to the left in those of a negative width."""
    sides = ("<" if width < 0 else ">" for width in widths)
    return "  ".join(f"{cell:{side}{abs(w)}}" for cell, side, w in zip(cells, sides, widths))


def _cell(row: Mapping[str, Any], column: str) -> str:
    return str(row[column]) if column == "objects" else _percent(row[column])


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else format(100 * value, ".1f")


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
    """Returns the metrics as values of JSON, with None for nan, which JSON does not have."""
    return {
        name: metrics_to_json(value) if isinstance(value, Mapping) else _number(value)
        for name, value in metrics.items()
    }


def _number(value: Any) -> Any:
    if isinstance(value, (str, list)) or type(value) in (int, bool):
        return value
    return None if math.isnan(value) else float(value)

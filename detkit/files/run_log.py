"""Reads log.jsonl, the record of a run: its lines, and its numbers as series over the steps.

A log may be that of a run that was killed and resumed. Its last line may then be incomplete, and
steps may be in it twice.
"""

import json
import math
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple, Union

LOG = "log.jsonl"
# The kinds of records that have a step and numbers, and the group of their names.
GROUPS = {"train": "train", "val_loss": "val", "evaluate": "metrics"}
PER_CLASS = "per_class"
NO_SERIES = ("kind", "step", "epoch", "eta_seconds")
# The numbers of a training that are no losses.
MEASURES = tuple(f"train/{n}" for n in ("lr", "seconds_per_step", "data_wait", "memory_mb"))
LONGEST = 1 << 20  # bytes of a line; a record of a thousand classes has a twentieth of it


class Series(NamedTuple):
    """A number over the steps of a run: two lists of one length, the steps rising."""

    steps: List[float]
    values: List[float]


def read_records(path: Union[str, Path], offset: int = 0) -> Iterator[Tuple[Dict[str, Any], int]]:
    """Yields each record of a log from a byte on, and the offset of the byte after it.

    A line that is no record is passed over, as is the last one if it is not complete. A missing
    file has no record. Raises OSError for a file that cannot be read.
    """
    if not Path(path).is_file():
        return
    with open(path, "rb") as file:
        file.seek(offset)
        while True:
            line = file.readline(LONGEST)
            if not line.endswith(b"\n") and len(line) < LONGEST:
                return
            offset += len(line)
            try:
                record = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield record, offset


def numbers_of(record: Mapping[str, Any]) -> Dict[str, float]:
    """Returns the numbers of a record by their names; none of a record that has no series.

    The names are ``train/loss``, ``train/lr``, ...; ``val/loss``, ... of a validation loss;
    ``metrics/AP50``, ... and ``per_class/NAME`` of an evaluation. A slash within a name becomes an
    underscore. A number that is not finite is left out.
    """
    group = GROUPS.get(str(record.get("kind")))
    if group is None or not _is_number(record.get("step")):
        return {}
    named = [(group, key, value) for key, value in record.items() if key not in NO_SERIES]
    of_classes = record.get(PER_CLASS)
    if isinstance(of_classes, dict):
        named += [(PER_CLASS, key, value) for key, value in of_classes.items()]
    return {
        f"{group}/{str(key).replace('/', '_')}": float(value)
        for group, key, value in named
        if _is_number(value)
    }


def read_series(path: Union[str, Path]) -> Dict[str, Series]:
    """Returns {name: Series} of a log, by the names of ``numbers_of``; {} if there is none.

    A resumed run begins at an earlier step than the run before it may have reached. What that run
    logged of later steps no longer counts.
    """
    found: Dict[str, Series] = {}
    last = -math.inf
    for record, _ in read_records(path):
        numbers = numbers_of(record)
        step = record["step"] if numbers else last
        if step < last:
            for series in found.values():
                _cut(series, step)
        last = step
        for name, value in numbers.items():
            series = found.setdefault(name, Series([], []))
            if series.steps and series.steps[-1] == step:
                _cut(series, step - 1)
            series.steps.append(step)
            series.values.append(value)
    return {name: series for name, series in found.items() if series.steps}


def thinned(series: Series, most: int) -> Series:
    """Returns a Series of at most ``most`` points, each the mean of as many neighbours."""
    count = len(series.steps)
    if count <= most:
        return series
    bounds = [count * i // most for i in range(most + 1)]
    slices = [slice(*pair) for pair in zip(bounds, bounds[1:])]
    steps, values = ([_mean(numbers[each]) for each in slices] for numbers in series)
    return Series(steps, values)


def _cut(series: Series, step: float) -> None:
    """Removes the points after a step."""
    while series.steps and series.steps[-1] > step:
        series.steps.pop()
        series.values.pop()


def _mean(numbers: List[float]) -> float:
    return sum(numbers) / len(numbers)


def _is_number(value: Any) -> bool:
    # A whole number of a thousand digits is no float.
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)

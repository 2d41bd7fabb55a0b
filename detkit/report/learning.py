"""The learning curves and the environment of a run, read from its log.jsonl."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from detkit.files.run_log import LOG, MEASURES, read_records, read_series, thinned

POINTS = 400  # of a curve
MOST_CURVES = 100
RATE = "train/lr"
PREFIXES = {"train": "", "val": "validation ", "metrics": ""}  # by the group of a series


def curves_of_training(folder: Union[str, Path]) -> Optional[List[Dict[str, Any]]]:
    """Returns [{"name", "steps", "values"}] of the losses, the metrics and the learning rate.

    folder: that of a run. None is returned if it has no log, or a log without such a number.
    """
    curves = []
    for name, series in read_series(Path(folder) / LOG).items():
        group, _, short = name.partition("/")
        if group in PREFIXES and (name not in MEASURES or name == RATE):
            steps, values = thinned(series, POINTS)
            curves.append({"name": PREFIXES[group] + short, "steps": steps, "values": values})
    return curves[:MOST_CURVES] or None


def environment_of_run(folder: Union[str, Path]) -> Dict[str, str]:
    """Returns the environment that made a run, from the last such record of its log, or {}."""
    found: Dict[str, str] = {}
    for record, _ in read_records(Path(folder) / LOG):
        if record.get("kind") == "environment":
            found = {key: str(value) for key, value in record.items() if key != "kind"}
    return found

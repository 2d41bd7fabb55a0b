"""The figures of each class that an evaluation found, in state.json beside the metrics.

``detkit.evaluate.choose.by_class`` returns them. A run that is resumed after its end writes the
same result.json from them.
"""

from typing import Any

from detkit.threshold import is_threshold

KEYS = {"rule", "threshold", "classes"}
FIGURES = {"AP", "AP50", "objects", "score", "precision", "recall", "F1"}
IN_FORCE = "in_force"
EXPECTED = "the rule, the threshold and the figures of each class, or {}"


def is_by_class(value: Any) -> bool:
    """Returns whether a value of a state.json makes sense."""
    if not isinstance(value, dict) or not value.keys() <= KEYS:
        return False
    if not value:
        return True
    rows, threshold = value.get("classes"), value.get("threshold")
    if not isinstance(value.get("rule"), str) or not isinstance(rows, dict):
        return False
    return all(map(_is_row, rows.values())) and (
        "threshold" not in value or _is_threshold(threshold, len(rows))
    )


def _is_row(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != FIGURES:
        return False
    return all(type(number) in (int, float) for number in value.values())


def _is_threshold(value: Any, classes: int) -> bool:
    if not isinstance(value, dict) or type(value.get(IN_FORCE)) is not bool:
        return False
    return is_threshold({k: each for k, each in value.items() if k != IN_FORCE}, classes)

"""JSON without what two readers may understand differently.

tools/deploy/json.cpp accepts and refuses the same texts.
"""

import json
import math
from collections import Counter
from typing import Any, Dict, List, Tuple

from detkit.errors import ExportError

DEEPEST = 64  # levels of lists and mappings
MOST_VALUES = 500_000


def parse_json(data: bytes, place: str, most_bytes: int) -> Any:
    """Returns the value of a JSON text (RFC 8259) in UTF-8.

    place: the file, for messages. most_bytes: the largest size of the text.

    Raises ExportError for any other text, a text that is too large, a key that is given twice,
    half of a surrogate pair, a number that a double cannot hold, values nested deeper than 64
    levels, and more than 500,000 values.
    """
    if len(data) > most_bytes:
        raise ExportError(f"{place}: expected at most {most_bytes:,} bytes, found {len(data):,}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_mapping,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
        _check_values(value)
    except RecursionError as error:
        raise ExportError(f"{place}: {_too_deep()}") from error
    except ValueError as error:
        raise ExportError(f"{place}: expected strict JSON, found an error: {error}") from error
    return value


def _mapping(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"expected each key once, found {key!r} twice")
    return mapping


def _whole(text: str) -> int:
    _finite(text)
    return int(float(text)) if len(text) > 18 else int(text)  # Python limits the digits of int()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"expected a number that a double can hold, found {text[:20]!r}")
    return number


def _check_values(value: Any) -> None:
    """Raises ValueError for text that is no Unicode, for too many values and for deep nesting."""
    count, level = 0, [value]
    for depth in range(DEEPEST + 2):
        count += len(level)
        if count > MOST_VALUES:
            raise ValueError(f"expected at most {MOST_VALUES:,} values, found more")
        below: List[Any] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, list):
                below += each
            elif isinstance(each, dict):
                for key in each:
                    _check_text(key)
                below += each.values()
        if below and depth == DEEPEST:
            raise ValueError(_too_deep())
        if not below:
            return
        level = below


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected both halves of a surrogate pair, found {text[error.start]!r} alone"
        ) from error


def _too_deep() -> str:
    return f"expected at most {DEEPEST} levels of lists and mappings, found more"

"""The file state.json of a checkpoint: each value is checked before it is used."""

import json
import math
import random
import re
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit.checkpoints.by_class import EXPECTED, is_by_class

# The format in state.json. It is 2 if weights.params has averages (train.ema): an earlier detkit
# would go on from these. Other checkpoints have 1, older ones have none and are read as 1.
FORMAT = 2
# Names in optimizer.params: of the number of updates that were averaged, and the beginning of the
# names of the trained weights, whose averages are in weights.params.
AVERAGED, TRAINED = "averaged", "trained/"
LARGEST = 1 << 24  # bytes of a state.json: the metrics of thousands of classes fit
_MOST = 1 << 53  # whole numbers below it are exact in every JSON
_RUN = re.compile(r"[0-9a-f]{0,64}")


class Progress(NamedTuple):
    """The progress of a run.

    step: the number of training steps done.
    epoch: the number of the current epoch.
    batch: the number of batches of that epoch done.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0


class Spent(NamedTuple):
    """The time that a run of ``train.time`` has spent, in seconds.

    seconds: the time of all its processes.
    evaluation: the time of the last evaluation; None before the first one.
    step: the time of a step; 0 if it is not known.
    """

    seconds: float
    evaluation: Optional[float] = None
    step: float = 0.0


class Parent(NamedTuple):
    """The checkpoint that a branch began from, by the run that wrote it and its step."""

    run: str
    step: int


class Branch(NamedTuple):
    """The line of training that a checkpoint belongs to.

    A run that is resumed from its last checkpoint goes on with its branch. A run that is resumed
    from an earlier checkpoint, or in another folder, begins a new branch.

    run: the branch's id, 32 hexadecimal digits; empty for a checkpoint of an earlier detkit.
    parent: the checkpoint that the branch began from; None if it began from no checkpoint.
    """

    run: str
    parent: Optional[Parent] = None


def state_text(
    progress: Progress,
    class_names: Sequence[str],
    metrics: Optional[Mapping[str, Any]],
    by_class: Mapping[str, Any],
    best: Optional[float],
    branch: Branch,
    stale: int,
    spent: Optional[Spent],
    environment: Optional[Mapping[str, str]],
    averaged: bool,
) -> str:
    """Returns the content of a state.json, with the random states of this moment.

    averaged: whether weights.params has averages of the weights.
    """
    state = {
        "format": FORMAT if averaged else 1,
        "progress": progress._asdict(),
        "class_names": list(class_names),
        "metrics": metrics,
        "by_class": dict(by_class),
        "best": best,
        "stale": stale,
        "spent": None if spent is None else spent._asdict(),
        **branch_to_json(branch),
        "environment": None if environment is None else dict(environment),
        "random": random_state(),
    }
    return json.dumps(state, indent=1)


def parse_state(data: bytes) -> Dict[str, Any]:
    """Returns the content of a state.json. Raises ValueError if a key or a value makes no sense."""
    if len(data) > LARGEST:
        raise ValueError(f"expected at most {LARGEST} bytes, found {len(data)}")
    try:
        state = json.loads(data.decode("utf-8"), parse_int=_whole_number)
    except RecursionError:
        raise ValueError("expected JSON of few levels, found text that is nested deeper") from None
    if not isinstance(state, dict):
        raise ValueError(f"expected an object, found {_shown(state)}")
    number = state.get("format", 1)
    if not _is_count(number) or number > FORMAT:
        raise ValueError(
            f"format: expected {FORMAT}, the latest that this detkit reads, found "
            f"{_shown(number)}; use the detkit that wrote the checkpoint, or a later one"
        )
    missing = [name for name in _VALUES if name not in state and name not in _OPTIONAL]
    if missing:
        raise ValueError(f"expected the keys {missing}, found none of this name")
    for name, (is_right, expected) in _VALUES.items():
        if not is_right(state.get(name, _OPTIONAL.get(name))):
            raise ValueError(f"{name}: expected {expected}, found {_shown(state[name])}")
    return state


def branch_of(state: Mapping[str, Any]) -> Branch:
    """Returns the branch of a checked state."""
    return branch_from_json(state.get("run", ""), state.get("parent"))


def spent_of(state: Mapping[str, Any]) -> Optional[Spent]:
    """Returns what the run of a checked state has spent; None without ``train.time``."""
    spent = state.get("spent")
    return None if spent is None else Spent(**spent)


def branch_to_json(branch: Branch) -> Dict[str, Any]:
    """Returns the entries ``run`` and ``parent`` of a branch."""
    parent = branch.parent
    return {"run": branch.run, "parent": None if parent is None else parent._asdict()}


def branch_from_json(run: Any, parent: Any) -> Branch:
    """Returns the branch of the two entries. Raises ValueError if they make no sense."""
    if not _is_run(run) or not _is_parent(parent):
        raise ValueError(f"run and parent: expected a branch, found {_shown([run, parent])}")
    return Branch(run, None if parent is None else Parent(parent["run"], parent["step"]))


def random_state() -> Dict[str, Any]:
    """Returns the states of the global generators, from which plugins may draw; detkit does not.

    MXNet's state cannot be read: its generator is seeded before every step (runner/seed.py).
    """
    state: Any = np.random.get_state()
    name, keys, position, has_gauss, gauss = state
    numpy_state = [name, keys.tolist(), position, has_gauss, gauss]
    version, internal, gauss_next = random.getstate()
    return {"numpy": numpy_state, "python": [version, list(internal), gauss_next]}


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Sets the global generators to a checked state."""
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, "uint32"), *rest))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


def _whole_number(text: str) -> int:
    """Parses an integer of JSON; Python takes minutes for one of a million digits."""
    if len(text) > 20:
        raise ValueError(f"expected whole numbers of at most 20 digits, found {len(text)} digits")
    return int(text)


def _is_count(value: Any, most: int = _MOST) -> bool:
    return type(value) is int and 0 <= value <= most  # true is an int too


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_counts(value: Any, length: int) -> bool:
    words = isinstance(value, list) and len(value) == length
    return words and all(_is_count(word, 2**32 - 1) for word in value)


def _is_progress(value: Any) -> bool:
    keys = isinstance(value, dict) and value.keys() == set(Progress._fields)
    return keys and all(map(_is_count, value.values()))


def _is_spent(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or value.keys() != set(Spent._fields):
        return False
    evaluation = 0 if value["evaluation"] is None else value["evaluation"]
    times = [value["seconds"], value["step"], evaluation]
    return all(_is_number(time) and 0 <= time < math.inf for time in times)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_texts(value: Any) -> bool:
    is_mapping = isinstance(value, dict)
    return value is None or (is_mapping and all(isinstance(text, str) for text in value.values()))


def _is_metrics(value: Any) -> bool:
    """Returns whether a value is null, or numbers by name and by name of a class."""
    if value is None:
        return True
    rows = value.values() if isinstance(value, dict) else [None]
    inner = [row for row in rows if isinstance(row, dict)]
    numbers = [row for row in rows if not isinstance(row, dict)]
    return all(map(_is_number, numbers + [number for row in inner for number in row.values()]))


def _is_run(value: Any) -> bool:
    return isinstance(value, str) and _RUN.fullmatch(value) is not None


def _is_parent(value: Any) -> bool:
    if value is None:
        return True
    keys = isinstance(value, dict) and value.keys() == set(Parent._fields)
    return keys and _is_run(value["run"]) and _is_count(value["step"])


def _is_random(value: Any) -> bool:
    """Returns whether a value holds the states of two Mersenne twisters.

    numpy does not check the position, and a wrong one reads memory that is not the generator's.
    """
    if not isinstance(value, dict):
        return False
    ours, theirs = value.get("numpy"), value.get("python")
    if not (isinstance(ours, list) and len(ours) == 5 and isinstance(theirs, list)):
        return False
    name, keys, position, has_gauss, gauss = ours
    numpys = name == "MT19937" and _is_counts(keys, 624) and _is_count(position, 624)
    if not (numpys and _is_count(has_gauss, 1) and _is_finite(gauss) and len(theirs) == 3):
        return False
    version, internal, gauss_next = theirs
    pythons = type(version) is int and version == 3 and _is_counts(internal, 625)
    return pythons and internal[-1] <= 624 and (gauss_next is None or _is_finite(gauss_next))


def _is_finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


# Earlier checkpoints have none of these.
_OPTIONAL: Mapping[str, Any] = {
    "run": "",
    "parent": None,
    "stale": 0,
    "spent": None,
    "environment": None,
    "by_class": {},
}
_VALUES: Mapping[str, Tuple[Callable[[Any], bool], str]] = {
    "progress": (_is_progress, "whole numbers step, epoch and batch"),
    "class_names": (_is_names, "a list of strings"),
    "metrics": (_is_metrics, "numbers by name, or null"),
    "by_class": (is_by_class, EXPECTED),
    "best": (lambda value: value is None or _is_number(value), "a number or null"),
    "stale": (_is_count, "a number of evaluations"),
    "spent": (_is_spent, "the seconds of a run, of an evaluation and of a step, or null"),
    "random": (_is_random, "the states of numpy's and Python's generators"),
    "environment": (_is_texts, "texts by name, or null"),
    "run": (_is_run, "the id of a run"),
    "parent": (_is_parent, "a run and a step, or null"),
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""The checkpoint that a run goes on from, and what the config has changed since it was written."""

import json
import os
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from detkit.checkpoints import (
    CONFIG,
    FOLDER,
    Resumed,
    branch_from,
    load_checkpoint,
    load_last,
    mend_checkpoints,
    numbered,
)
from detkit.config.yaml import parse_yaml, read_yaml
from detkit.errors import CheckpointError, ConfigError
from detkit.runner.time_budget import read_duration

# The trained weights depend neither on these keys nor on those below them.
HARMLESS = (
    "data.bad_images",
    "data.workers",
    "ops",
    "plugins",
    "train.checkpoint_every",
    "train.device",
    "train.evaluate_every",
    "train.keep",
    "train.log_every",
    "train.patience",
    "train.pictures",
    "train.start_from",
    "train.val_loss",
    "tta",
)
LENGTHS = ("train.epochs", "train.steps")
TIME = "train.time"
ENDS = (*LENGTHS, TIME, "train.patience")  # the keys that say when a run ends
_LONGEST = 60  # characters of a value that are shown
_MISSING = object()


class Change(NamedTuple):
    """A value of the config that differs from the checkpoint's.

    key: the dotted path. text: the path, the old and the new value. harmless: whether the training
    means the same.
    """

    key: str
    text: str
    harmless: bool


def find_resumed(work_dir: str, resume: Optional[str]) -> Optional[Resumed]:
    """Returns the checkpoint that a run goes on from, loaded, with its branch; None for a new run.

    resume: None, "auto" or a checkpoint's folder, as in Training.runner.

    Raises CheckpointError if the folder holds another run, or if no checkpoint can be used.
    """
    folder = os.path.join(work_dir, FOLDER)
    if resume == "auto":
        mend_checkpoints(folder)
        return load_last(folder)
    if resume is not None:
        checkpoint = load_checkpoint(resume, restore_random=True)
        return Resumed(checkpoint, branch_from(folder, checkpoint))
    known = numbered(folder)
    if known:
        raise CheckpointError(
            f"{work_dir}: expected a folder without a run, found {len(known)} checkpoints; "
            "--resume auto continues the run, --work-dir DIR starts another one elsewhere"
        )
    return None


def check_changes(path: str, config_text: str, force: bool) -> List[Change]:
    """Returns the differences between the config of the checkpoint ``path`` and the run's config.

    config_text: the resolved config of the run.
    force: whether changes of what the training means are accepted.

    Raises CheckpointError, which lists the differences, unless all are harmless or forced.
    """
    file = os.path.join(path, CONFIG)
    try:
        old = read_yaml(file)
    except ConfigError as error:
        raise CheckpointError(f"{error}; use another checkpoint") from error
    changes = list(_changes(old, parse_yaml(config_text, lambda mark: "config"), ""))
    refused = [change for change in changes if not change.harmless]
    if refused and not force:
        accepted = [change for change in changes if change.harmless]
        also = "\n  accepted: ".join(["", *(change.text for change in accepted)])
        listed = "\n  ".join(change.text for change in refused)
        raise CheckpointError(
            f"{path}: expected the config that the checkpoint was trained with, {file}, found "
            f"{len(refused)} changes of what the training means:\n  {listed}{also}\n"
            "Undo the changes, or accept them with --force, or begin a new run from these weights "
            f"with --work-dir DIR --set train.start_from={path}"
        )
    return changes


def _changes(old: Any, new: Any, key: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            below = f"{key}.{name}" if key else name
            yield from _changes(old.get(name, _MISSING), new.get(name, _MISSING), below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new)):
            yield from _changes(*pair, f"{key}.{index}")
    elif _shown(old) != _shown(new) and not _same_number(old, new):
        text = f"{key}: {_cut(_shown(old))} in the checkpoint, {_cut(_shown(new))} now"
        yield Change(key, text, _is_harmless(key, old, new))


def _is_harmless(key: str, old: Any, new: Any) -> bool:
    if key in LENGTHS and type(old) is int and type(new) is int:
        return new >= old
    if key == TIME and isinstance(old, str) and isinstance(new, str):
        try:
            return read_duration(new) >= read_duration(old)
        except ValueError:  # the checkpoint's config may be damaged
            return False
    harmless = any(f"{key}.".startswith(f"{known}.") for known in HARMLESS)
    return harmless or key.endswith(".pretrained")  # the checkpoint has the weights


def _same_number(old: Any, new: Any) -> bool:
    numbers: Tuple[type, ...] = (int, float)
    return type(old) in numbers and type(new) in numbers and bool(old == new)


def _shown(value: Any) -> str:
    return "not set" if value is _MISSING else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"

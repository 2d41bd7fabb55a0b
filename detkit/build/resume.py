"""The checkpoint that a run goes on from, and what the config has changed since it was written."""

import hashlib
import json
import os
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from detkit.checkpoints import (
    CONFIG,
    FOLDER,
    Resumed,
    branch_from,
    load_checkpoint,
    load_last,
    mend_checkpoints,
    numbered,
    read_sums,
)
from detkit.config.yaml import parse_yaml, read_yaml
from detkit.errors import CheckpointError, ConfigError
from detkit.plugins import Copies
from detkit.plugins.copies import name_in_folder
from detkit.runner import trackers
from detkit.runner.time_budget import read_duration

# The trained weights depend neither on these keys nor on those below them.
HARMLESS = (
    "data.bad_images",
    "data.cache",
    "data.workers",
    "ops",
    "plugins",
    "train.batch_pictures",
    "train.checkpoint_every",
    "train.device",
    "train.evaluate_every",
    "train.keep",
    "train.log_every",
    "train.patience",
    "train.pictures",
    "train.start_from",
    "train.threshold",
    "train.val_loss",
    "tta",
)
HOOKS = "train.hooks"
LENGTHS = ("train.epochs", "train.steps")
TIME, PLUGINS = "train.time", "plugins"
ENDS = (*LENGTHS, TIME, "train.patience")  # the keys that say when a run ends
PROPOSALS = ("data.train_proposals.path", "data.val_proposals.path")
_STAGED = re.compile("/stages/[^/]+/proposals/[^/]+$")  # the end of a path
TRACKERS = set(trackers.__all__)
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


def check_changes(path: str, config_text: str, plugins: Copies, force: bool) -> List[Change]:
    """Returns the differences between the config of the checkpoint ``path`` and the run's config.

    config_text, plugins: the resolved config of the run, and the copies of its plugins. A plugin
        that has changed may mean anything.
    force: whether changes of what the training means are accepted.

    Raises CheckpointError, which lists the differences, unless all are harmless or forced.
    """
    file = os.path.join(path, CONFIG)
    try:
        old = read_yaml(file)
    except ConfigError as error:
        raise CheckpointError(f"{error}; use another checkpoint") from error
    new = parse_yaml(config_text, lambda mark: "config")
    changes = [*_changes(_named(old), _named(new), ""), *_changed_plugins(path, plugins)]
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


def _named(config: Any) -> Any:
    """Returns a config that lists the copies of plugins by their names alone."""
    entries = config.get(PLUGINS) if isinstance(config, dict) else None
    if not isinstance(entries, list):
        return config
    copies = [name_in_folder(entry) if isinstance(entry, str) else None for entry in entries]
    names = [copy[1] if copy else entry for copy, entry in zip(copies, entries)]
    return {**config, PLUGINS: names}


def _changed_plugins(path: str, plugins: Copies) -> Iterator[Change]:
    """Yields the files of plugins that have other content than those of the checkpoint ``path``."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in plugins.files.items()}
    old, new = _sums_by_name(read_sums(path)), _sums_by_name(sums)
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            text = f"{PLUGINS}: {name}: the file has changed since the checkpoint"
            yield Change(PLUGINS, text, harmless=False)


def _sums_by_name(sums: Mapping[str, str]) -> Dict[str, Set[str]]:
    found: Dict[str, Set[str]] = {}
    for path, digest in sums.items():
        copy = name_in_folder(path)
        if copy:
            found.setdefault(copy[1], set()).add(digest)
    return found


def _changes(old: Any, new: Any, key: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            below = f"{key}.{name}" if key else name
            yield from _changes(old.get(name, _MISSING), new.get(name, _MISSING), below)
    elif key != HOOKS and isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
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
    if key == HOOKS:
        return _shown(_without_trackers(old)) == _shown(_without_trackers(new))
    if key in PROPOSALS and isinstance(old, str) and isinstance(new, str):
        # A run in stages that was moved: the file is named after the step that it was made by.
        one, other = _STAGED.search(old), _STAGED.search(new)
        return one is not None and other is not None and one[0] == other[0]
    harmless = any(f"{key}.".startswith(f"{known}.") for known in HARMLESS)
    return harmless or key.endswith(".pretrained")  # the checkpoint has the weights


def _without_trackers(hooks: Any) -> List[Any]:
    """Returns the hooks of a config but those that only send the numbers of a run elsewhere."""
    given = hooks if isinstance(hooks, list) else []
    return [each for each in given if not (isinstance(each, dict) and each.get("type") in TRACKERS)]


def _same_number(old: Any, new: Any) -> bool:
    numbers: Tuple[type, ...] = (int, float)
    return type(old) in numbers and type(new) in numbers and bool(old == new)


def _shown(value: Any) -> str:
    return "not set" if value is _MISSING else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"

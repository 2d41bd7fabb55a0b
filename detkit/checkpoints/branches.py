"""The branches in a folder of checkpoints: which one a run goes on with, and what it may delete.

The file ``last`` names the newest checkpoint of the current branch. A checkpoint with a larger
number may belong to a branch that was left when the run was resumed from an earlier checkpoint.
"""

import logging
import os
import shutil
import uuid
from typing import Dict, List, NamedTuple, Optional, Set

from detkit.checkpoints.checkpoint import Checkpoint, load_checkpoint, read_state
from detkit.checkpoints.names import (
    BEST,
    LAST,
    find_best,
    find_checkpoints,
    numbered,
    read_name,
    step_of,
    write_name,
)
from detkit.checkpoints.state import (
    Branch,
    Parent,
    branch_from_json,
    branch_of,
    branch_to_json,
)
from detkit.errors import CheckpointError

log = logging.getLogger(__name__)


class Resumed(NamedTuple):
    """A checkpoint that a run goes on from, and the branch of the run."""

    checkpoint: Checkpoint
    branch: Branch


class Pointer(NamedTuple):
    """The content of ``last``: a checkpoint's path, its step, and the current branch."""

    path: str
    step: int
    branch: Branch


def new_branch(parent: Optional[Parent] = None) -> Branch:
    """Returns a branch with an id of its own; no seed decides it."""
    return Branch(uuid.uuid4().hex, parent)


def point_last_to(folder: str, path: str, step: int, branch: Branch) -> None:
    """Writes ``folder``/last: the run goes on from the checkpoint ``path``. Raises DataError."""
    inside = os.path.realpath(os.path.dirname(path)) == os.path.realpath(folder)
    name = os.path.basename(path) if inside else os.path.abspath(path)
    content = {"checkpoint": name, "step": step, **branch_to_json(branch)}
    write_name(os.path.join(folder, LAST), content)


def read_last(folder: str) -> Optional[Pointer]:
    """Returns the content of ``folder``/last; None, with a warning if it is damaged."""
    file_path = os.path.join(folder, LAST)
    if not os.path.lexists(file_path):
        return None
    try:
        content = read_name(file_path)
        name, step = content["checkpoint"], content["step"]
        if not isinstance(name, str) or type(step) is not int:
            raise ValueError(f"expected a path and a step, found {name!r} and {step!r}")
        branch = branch_from_json(content["run"], content["parent"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning(
            "%s: expected the name of a checkpoint, found a damaged file (%s); the checkpoints "
            "beside it are used",
            file_path,
            error,
        )
        return None
    return Pointer(os.path.join(folder, name), step, branch)


def branch_from(folder: str, checkpoint: Checkpoint) -> Branch:
    """Returns the branch of a run in ``folder`` that goes on from a checkpoint that a user named.

    It is the current branch if the checkpoint is the last one, and a new one otherwise.
    """
    last = read_last(folder)
    if last is not None and os.path.realpath(last.path) == os.path.realpath(checkpoint.path):
        return last.branch
    return new_branch(Parent(checkpoint.branch.run, checkpoint.progress.step))


def load_last(folder: str) -> Optional[Resumed]:
    """Loads the newest checkpoint of the current branch that is not damaged; None in a new folder.

    A warning names each damaged checkpoint that is passed over. The global random number
    generators are set to the saved state.

    Raises CheckpointError if there are checkpoints and none of the branch can be used: a run from
    the start would write over them.
    """
    last, known = read_last(folder), numbered(folder)
    if last is None and not known:
        return None
    branches = {path: _read_branch(path) for path in known}
    branch = _newest_branch(folder, branches) if last is None else last.branch
    candidates = _ancestors(branch, branches)
    if last is not None:
        candidates = [path for path in candidates if step_of(path) < last.step]
        candidates.insert(0, last.path)
    for path in candidates:
        try:
            return Resumed(load_checkpoint(path, restore_random=True), branch)
        except CheckpointError as error:
            log.warning("%s", error)
    others = [os.path.basename(path) for path in known if path not in candidates]
    raise CheckpointError(
        f"{folder}: expected a checkpoint that can be used, found that all {len(candidates)} of "
        "the run are damaged; nothing was changed. Bring one back from a copy, name another with "
        f"--resume PATH (other branches: {', '.join(others) or 'none'}), or start again in "
        "another folder with --work-dir DIR"
    )


def prune(folder: str, branch: Branch, keep: int) -> List[str]:
    """Deletes old checkpoints of a branch, except the latest ``keep`` and the best.

    Checkpoints of other branches, damaged ones and links are kept; their names are returned.
    """
    best = find_best(folder)
    ours: List[str] = []
    others: List[str] = []
    for path in numbered(folder):
        theirs = None if os.path.islink(path) else _read_branch(path)
        (ours if theirs is not None and theirs.run == branch.run else others).append(path)
    complete = [path for path in find_checkpoints(folder) if path in ours]
    for path in complete[:-keep]:
        if os.path.realpath(path) != best:
            shutil.rmtree(path)
    return [os.path.basename(path) for path in others]


def make_room(path: str, branch: Branch) -> Optional[str]:
    """Renames the checkpoint ``path`` if it belongs to another branch; returns its new path.

    The new name is none of a checkpoint of a run, so that the checkpoint is neither deleted nor
    resumed from unless a user names it.
    """
    theirs = _read_branch(path) if os.path.isdir(path) else None
    if theirs is None or theirs.run == branch.run:
        return None
    aside = f"{path}-of-{theirs.run[:8] or 'earlier'}"
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = f"{path}-of-{theirs.run[:8] or 'earlier'}-{number}"
    was_best = find_best(os.path.dirname(path)) == os.path.realpath(path)
    os.rename(path, aside)
    if was_best:
        point_best_to(aside)
    return aside


def point_best_to(path: str) -> None:
    """Writes the file ``best`` beside the checkpoint ``path``, which names it.

    Raises OSError or DataError.
    """
    file_path = os.path.join(os.path.dirname(path), BEST)
    if os.path.isdir(file_path) and not os.path.islink(file_path):
        shutil.rmtree(file_path)  # what a copy made of the link of an earlier detkit
    write_name(file_path, {"checkpoint": os.path.basename(path)})


def mend_best(folder: str, branch: Branch, main: str, best: float) -> None:
    """Makes ``best`` name a checkpoint of a branch whose metric ``main`` is ``best``.

    It names an earlier one if a process was killed between a better checkpoint and the name. A
    folder without such a checkpoint is left as it is. Raises OSError or DataError.
    """
    paths = [path for path in find_checkpoints(folder) if _has(path, branch, main, best)]
    if paths and find_best(folder) not in [os.path.realpath(path) for path in paths]:
        point_best_to(paths[0])


def _has(path: str, branch: Branch, main: str, score: float) -> bool:
    """Returns whether a checkpoint is of a branch and has a score."""
    try:
        state = read_state(path)
    except CheckpointError:
        return False
    return branch_of(state).run == branch.run and (state["metrics"] or {}).get(main) == score


def _read_branch(path: str) -> Optional[Branch]:
    """Returns the branch of the checkpoint ``path``; None if its state.json cannot be used."""
    try:
        return branch_of(read_state(path))
    except CheckpointError:
        return None


def _newest_branch(folder: str, branches: Dict[str, Optional[Branch]]) -> Branch:
    """Returns the branch from which no other began. Raises CheckpointError if there are several."""
    known = [branch for branch in branches.values() if branch is not None]
    parents = {branch.parent.run for branch in known if branch.parent is not None}
    newest = {branch.run: branch for branch in known if branch.run not in parents}
    if len(newest) > 1:
        names = ", ".join(map(os.path.basename, branches))
        raise CheckpointError(
            f"{folder}: expected the file {LAST}, which names the run's newest checkpoint, found "
            f"none and checkpoints of {len(newest)} branches: {names}; name one with --resume PATH"
        )
    found = next(iter(newest.values()), Branch(""))
    return found if found.run else new_branch()  # an earlier detkit wrote no ids


def _ancestors(branch: Branch, branches: Dict[str, Optional[Branch]]) -> List[str]:
    """Returns the checkpoints that led to a branch's newest one and its own, the newest first.

    Checkpoints whose branch cannot be read are among them, so that a user is told of their damage.
    """
    by_run = {each.run: each for each in branches.values() if each is not None}
    found: Set[str] = {path for path, each in branches.items() if each is None or not each.run}
    current: Optional[Branch] = branch
    limit, seen = float("inf"), set()
    while current is not None and current.run not in seen:
        seen.add(current.run)
        own = {path for path, each in branches.items() if each and each.run == current.run}
        found |= {path for path in own if step_of(path) <= limit}
        parent = current.parent
        limit = parent.step if parent else 0
        current = by_run.get(parent.run, Branch(parent.run)) if parent else None
    return sorted(found, key=step_of, reverse=True)

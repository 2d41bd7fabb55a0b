"""Checkpoints: their files, and the folder of a run that holds them."""

from detkit.checkpoints.branches import (
    Resumed,
    branch_from,
    load_last,
    make_room,
    mend_best,
    new_branch,
    point_best_to,
    point_last_to,
    prune,
    read_last,
)
from detkit.checkpoints.checkpoint import (
    Checkpoint,
    check_finite,
    load_checkpoint,
    read_state,
    save_checkpoint,
)
from detkit.checkpoints.names import (
    CONFIG,
    FOLDER,
    STATE,
    SUMS,
    WEIGHTS,
    find_checkpoints,
    mend_checkpoints,
    numbered,
)
from detkit.checkpoints.state import AVERAGED, TRAINED, Branch, Parent, Progress, Spent

__all__ = [
    "AVERAGED",
    "CONFIG",
    "FOLDER",
    "STATE",
    "SUMS",
    "TRAINED",
    "WEIGHTS",
    "Branch",
    "Checkpoint",
    "Parent",
    "Progress",
    "Resumed",
    "Spent",
    "branch_from",
    "check_finite",
    "find_checkpoints",
    "load_checkpoint",
    "load_last",
    "make_room",
    "mend_checkpoints",
    "new_branch",
    "numbered",
    "mend_best",
    "point_best_to",
    "point_last_to",
    "prune",
    "read_last",
    "read_state",
    "save_checkpoint",
]

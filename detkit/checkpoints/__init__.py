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
    Origin,
    check_finite,
    load_checkpoint,
    read_state,
    save_checkpoint,
)
from detkit.checkpoints.chosen import write_threshold
from detkit.checkpoints.names import (
    CONFIG,
    FOLDER,
    STATE,
    SUMS,
    WEIGHTS,
    find_best,
    find_checkpoints,
    folder_of,
    mend_checkpoints,
    numbered,
)
from detkit.checkpoints.state import AVERAGED, TRAINED, Branch, Parent, Progress, Spent
from detkit.checkpoints.sums import read_sums

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
    "Origin",
    "Parent",
    "Progress",
    "Resumed",
    "Spent",
    "branch_from",
    "check_finite",
    "find_best",
    "find_checkpoints",
    "folder_of",
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
    "read_sums",
    "save_checkpoint",
    "write_threshold",
]

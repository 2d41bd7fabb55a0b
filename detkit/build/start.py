"""The weights that a new run begins with: those of one checkpoint, or parts of several."""

import os
from typing import Dict, List, Optional, Sequence, Tuple

from detkit.build.load import start_from
from detkit.checkpoints import FOLDER, load_checkpoint
from detkit.config import place, require, unknown_key
from detkit.config.yaml import Node
from detkit.errors import CheckpointError, ConfigError
from detkit.models import Network
from detkit.weights.published import PUBLISHED

START = "start_from"


def start(model: Network, train: Node) -> str:
    """Puts the weights that ``train.start_from`` names into ``model``; returns a line about them.

    train: the section ``train``, in which ``start_from`` is a folder or {part: folder}.

    Raises CheckpointError, with the place of the key, for a checkpoint that cannot be used.
    """
    named = train[START]
    if isinstance(named, str):
        path, left = _take(model, named, place(train, START))
        taken = [path]
    else:
        taken, left = [], []
        for folder, parts in _parts_of_folders(named).items():
            path, missing = _take(model, folder, place(named, parts[0]), parts)
            taken.append(f"{' and '.join(parts)} in {path}")
            left += missing
    others = f"; initialised at random: {', '.join(left)}" if left else ""
    return f"starting from the weights of {', '.join(taken)}{others}"


def check_start(model: Network, train: Node) -> None:
    """Raises ConfigError for a part in ``train.start_from`` that has no weights in ``model``."""
    named = train.get(START)
    if not isinstance(named, dict):
        return
    known = model.weights_of_parts()
    if not named:
        raise ConfigError(
            f"{place(train, START)}: expected the folder of a checkpoint, or parts with one each, "
            f"found no part; parts with weights: {', '.join(known)}"
        )
    for part in named:
        if part not in known:
            raise ConfigError(unknown_key(named, part, known))
        require(named, part, str)


def _parts_of_folders(named: Node) -> Dict[str, List[str]]:
    folders: Dict[str, List[str]] = {}
    for part, folder in named.items():
        folders.setdefault(folder, []).append(part)
    return folders


def _take(
    model: Network, folder: str, where: str, parts: Optional[Sequence[str]] = None
) -> Tuple[str, List[str]]:
    """Takes the weights of a checkpoint; returns its path, and the names of weights it has not."""
    try:
        saved = load_checkpoint(folder)
        return saved.path, start_from(model, saved, parts)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}{_how_to_convert(folder)}") from error


def _how_to_convert(named: str) -> str:
    """Returns the commands for a detector of another framework; "" for what is a path."""
    if os.path.exists(named) or os.path.basename(named) != named:
        return ""
    theirs = f"torchvision {named}" if named in PUBLISHED else "FRAMEWORK MODEL FILE"
    run = os.path.join("work_dirs", named)
    return (
        f"\n  a detector of another framework is converted first: detkit convert-weights {theirs} "
        f"--out {run}\n  then write {START}: {os.path.join(run, FOLDER, 'step-00000000')}"
    )

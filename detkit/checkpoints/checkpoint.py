"""A checkpoint: one folder with everything that a run needs to resume bit for bit.

    weights.params    the network, by structural names; with train.ema, the averages of its weights
    optimizer.params  the optimizer's state, and the gradients of an unfinished accumulation; with
                      train.ema, also the weights that are trained
    state.json        the run's progress, metrics, class names and random number generators
    config.yaml       the resolved config
    plugins/          the plugins that the config lists, if there are any (detkit/plugins/copies.py)
    threshold.json    the least scores of what is detected, if they were chosen
    SHA256SUMS        the sums of these files; it is written last and completes the checkpoint

The folder is written under a temporary name and renamed, so that a folder with the final name is
complete.
"""

import errno
import os
import shutil
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np

from detkit.checkpoints.chosen import read_threshold, threshold_files
from detkit.checkpoints.names import (
    ASIDE,
    CONFIG,
    FOLDER,
    OPTIMIZER,
    STATE,
    SUMS,
    TEMPORARY,
    WEIGHTS,
    find_checkpoints,
    folder_of,
    remove,
)
from detkit.checkpoints.state import (
    AVERAGED,
    LARGEST,
    Branch,
    Progress,
    Spent,
    branch_of,
    parse_state,
    restore_random_state,
    spent_of,
    state_text,
)
from detkit.checkpoints.sums import sums_text, verify
from detkit.errors import CheckpointError, TrainingError
from detkit.files.disk import sync
from detkit.threshold import Threshold
from detkit.typing import NDArray

# Arrays are imported within functions, because detkit.load looks here for the names of files before
# it opens an .onnx, which needs no MXNet. MXNet's errors are RuntimeErrors.
Block = Any  # mxnet.gluon.Block


class HasState(Protocol):
    """The protocol of an optimizer whose state is saved."""

    def state(self) -> Mapping[str, NDArray]:
        """Returns the arrays to save, by name."""


class Origin(NamedTuple):
    """The config, the plugins and the machine that made a checkpoint.

    config_text: the resolved config.
    plugins: {relative path: content} of the copies of its plugins.
    environment: versions and machine, {name: text}; None if no training has made it.
    """

    config_text: str
    plugins: Mapping[str, bytes] = MappingProxyType({})
    environment: Optional[Mapping[str, str]] = None


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    weights, optimizer: arrays by name.
    metrics: the metrics of the last evaluation; None before the first one.
    by_class: what it found of each class, see detkit.evaluate.choose.by_class; may be empty.
    best: the best value of the metric that the run selects checkpoints by, or None.
    branch: the line of training that the checkpoint belongs to.
    stale: the number of evaluations since the best one.
    spent: the time of a run of ``train.time``, or None.
    environment: as of an Origin; None if it is not known.
    threshold: the least scores of what its detector returns, or None.
    """

    path: str
    weights: Dict[str, NDArray]
    optimizer: Dict[str, NDArray]
    progress: Progress
    class_names: Tuple[str, ...]
    metrics: Optional[Dict[str, Any]]
    by_class: Dict[str, Any]
    best: Optional[float]
    branch: Branch
    stale: int
    spent: Optional[Spent]
    environment: Optional[Mapping[str, str]]
    threshold: Optional[Threshold] = None


def save_checkpoint(
    path: str,
    model: Block,
    optimizer: HasState,
    progress: Progress,
    class_names: Sequence[str],
    origin: Origin,
    metrics: Optional[Mapping[str, Any]],
    best: Optional[float],
    branch: Branch,
    stale: int = 0,
    spent: Optional[Spent] = None,
    threshold: Optional[Threshold] = None,
    by_class: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Writes the folder ``path``; an older folder of that name is replaced.

    The arguments are the content, as in Checkpoint, and the Origin.

    Raises CheckpointError if it cannot be written (disk full, no permission). An older folder is
    then left as it was.
    """
    from detkit.checkpoints.arrays import save_arrays, weights_of

    partial = os.path.join(os.path.dirname(path), TEMPORARY + os.path.basename(path))
    try:
        remove(partial)
        os.makedirs(partial)
        save_arrays(os.path.join(partial, WEIGHTS), weights_of(model))
        arrays = optimizer.state()
        save_arrays(os.path.join(partial, OPTIMIZER), arrays)
        standing = (progress, class_names, metrics, by_class, best, branch, stale, spent)
        state = state_text(*standing, origin.environment, averaged=AVERAGED in arrays)
        texts = {STATE: state.encode(), CONFIG: origin.config_text.encode(), **origin.plugins}
        _complete(partial, {**texts, **threshold_files(threshold)})
        _replace(partial, path)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise _not_saved(path, error) from error


def _not_saved(path: str, error: Exception) -> CheckpointError:
    reason = "the disk is full" if _disk_full(error) else _reason(error)
    return CheckpointError(
        f"{path}: the checkpoint cannot be saved: {reason}; earlier checkpoints are unchanged. "
        "Make room or correct the folder's permissions, then continue with --resume auto"
    )


def load_checkpoint(path: str, restore_random: bool = False) -> Checkpoint:
    """Reads a checkpoint.

    path: its folder, or a file such as ``best`` that names it (``folder_of``).
    restore_random: whether to set the global random number generators to the saved state.

    Raises CheckpointError if the checkpoint is missing, incomplete or damaged.
    """
    from detkit.checkpoints.arrays import read_arrays

    path = folder_of(path)
    _check_is_checkpoint(path)
    verify(path)
    state = read_state(path)
    checkpoint = Checkpoint(
        path=path,
        weights=read_arrays(os.path.join(path, WEIGHTS)),
        optimizer=read_arrays(os.path.join(path, OPTIMIZER)),
        progress=Progress(**state["progress"]),
        class_names=tuple(state["class_names"]),
        metrics=state["metrics"],
        by_class=state.get("by_class", {}),
        best=state["best"],
        branch=branch_of(state),
        stale=state.get("stale", 0),
        spent=spent_of(state),
        environment=state.get("environment"),
        threshold=read_threshold(path, len(state["class_names"])),
    )
    if restore_random:
        restore_random_state(state["random"])
    return checkpoint


def _check_is_checkpoint(path: str) -> None:
    if not os.path.isdir(path):
        raise CheckpointError(
            f"{path}: expected a checkpoint, found no such folder; a run keeps its checkpoints in "
            f"WORK_DIR/{FOLDER}, each a folder with {WEIGHTS} and {SUMS}"
        )
    if os.path.isdir(os.path.join(path, FOLDER)):
        inside = find_checkpoints(os.path.join(path, FOLDER))
        raise CheckpointError(
            f"{path}: expected a checkpoint, found the folder of a run; its checkpoints: "
            f"{', '.join(inside) or '(none yet)'}"
        )


def read_state(path: str) -> Dict[str, Any]:
    """Returns the checked content of a checkpoint's state.json, whose sum is not verified.

    Raises CheckpointError if it cannot be read, or if a key or a value makes no sense.
    """
    file_path = os.path.join(path, STATE)
    try:
        with open(file_path, "rb") as file:
            return parse_state(file.read(LARGEST + 1))
    except OSError as error:
        raise CheckpointError(f"{file_path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{file_path}: {error}") from error


def check_finite(model: Block, step: int) -> None:
    """Raises TrainingError if a weight is not finite, which can follow from a finite loss.

    step: the number of training steps done, for the message. The function waits for the device.
    """
    from detkit.checkpoints.arrays import weights_of

    weights = weights_of(model)
    spoilt = [name for name, array in weights.items() if not np.isfinite(array.asnumpy()).all()]
    if spoilt:
        raise TrainingError(
            f"step {step}: expected finite weights, found {len(spoilt)} of {len(weights)} that are "
            f"not, first {spoilt[0]}; they are not saved, and earlier checkpoints are unchanged. A "
            "lower train.lr, a longer warm-up or train.clip_norm may help"
        )


def _complete(folder: str, texts: Mapping[str, bytes]) -> None:
    """Writes files beside the arrays, and the sums of all last, through to the disk."""
    for name, data in texts.items():
        _write(os.path.join(folder, name), data)
    sums = sums_text(folder, (WEIGHTS, OPTIMIZER, *texts))
    _write(os.path.join(folder, SUMS), sums.encode())
    for each, _, _ in os.walk(folder):
        sync(each)


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(partial: str, path: str) -> None:
    """Renames ``partial`` to ``path``; an older folder is moved aside first and removed last."""
    aside = partial + ASIDE
    if os.path.isdir(path):
        remove(aside)
        os.rename(path, aside)
    try:
        os.rename(partial, path)
    except OSError:
        if os.path.isdir(aside):
            os.rename(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    sync(os.path.dirname(path))


def _disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "FileStream.Write incomplete" in str(error)  # MXNet's error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[-1]

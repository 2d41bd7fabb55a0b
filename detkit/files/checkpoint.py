"""A checkpoint: one folder with everything that a run needs to resume bit for bit.

    weights.params    the network, by structural names
    optimizer.params  the optimizer's state, and the gradients of an unfinished accumulation
    state.json        the run's progress, metrics, class names and random number generators
    config.yaml       the resolved config
    SHA256SUMS        the sums of the four files; it is written last and completes the checkpoint

The folder is written under a temporary name and renamed, so that a folder with the final name is
complete.
"""

import errno
import json
import os
import random
import shutil
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import gluon

from detkit.errors import CheckpointError, TrainingError
from detkit.files.disk import sha256_of
from detkit.typing import NDArray

WEIGHTS, OPTIMIZER, STATE, CONFIG = (
    "weights.params",
    "optimizer.params",
    "state.json",
    "config.yaml",
)
SUMS = "SHA256SUMS"
FORMAT = 1  # in state.json; older checkpoints have none there and are read as 1
FOLDER = "checkpoints"  # of a run, within its work folder
TEMPORARY, ASIDE = ".partial-", ".old"
_FILES = (WEIGHTS, OPTIMIZER, STATE, CONFIG)


class HasState(Protocol):
    """The protocol of an optimizer whose state is saved."""

    def state(self) -> Mapping[str, NDArray]:
        """Returns the arrays to save, by name."""


class Progress(NamedTuple):
    """The progress of a run.

    step: the number of training steps done.
    epoch: the number of the current epoch.
    batch: the number of batches of that epoch done.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    weights, optimizer: arrays by name.
    metrics: the metrics of the last evaluation; None before the first one.
    best: the best value of the metric that the run selects checkpoints by, or None.
    """

    path: str
    weights: Dict[str, NDArray]
    optimizer: Dict[str, NDArray]
    progress: Progress
    class_names: Tuple[str, ...]
    metrics: Optional[Dict[str, Any]]
    best: Optional[float]


def save_checkpoint(
    path: str,
    model: gluon.Block,
    optimizer: HasState,
    progress: Progress,
    class_names: Sequence[str],
    config_text: str,
    metrics: Optional[Mapping[str, Any]],
    best: Optional[float],
) -> None:
    """Writes the folder ``path``; an older folder of that name is replaced.

    Raises CheckpointError if it cannot be written (disk full, no permission). An older folder is
    then left as it was.
    """
    partial = os.path.join(os.path.dirname(path), TEMPORARY + os.path.basename(path))
    try:
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial)
        _save_arrays(os.path.join(partial, WEIGHTS), _weights(model))
        _save_arrays(os.path.join(partial, OPTIMIZER), optimizer.state())
        state = {
            "format": FORMAT,
            "progress": progress._asdict(),
            "class_names": list(class_names),
            "metrics": metrics,
            "best": best,
            "random": _random_state(),
        }
        _write(os.path.join(partial, STATE), json.dumps(state, indent=1))
        _write(os.path.join(partial, CONFIG), config_text)
        _write(os.path.join(partial, SUMS), _sums(partial))
        _replace(partial, path)
    except (OSError, mx.base.MXNetError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = "the disk is full" if _disk_full(error) else _reason(error)
        raise CheckpointError(
            f"{path}: the checkpoint cannot be saved: {reason}; earlier checkpoints are unchanged. "
            "Make room or correct the folder's permissions, then continue with --resume auto"
        ) from error


def load_checkpoint(path: str, restore_random: bool = False) -> Checkpoint:
    """Reads a checkpoint.

    restore_random: whether to set the global random number generators to the saved state.

    Raises CheckpointError if the checkpoint is missing, incomplete or damaged.
    """
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
    _verify(path)
    try:
        with open(os.path.join(path, STATE), encoding="utf-8") as file:
            state = json.load(file)
        _check_format(path, state)
        checkpoint = Checkpoint(
            path=path,
            weights=mx.nd.load(os.path.join(path, WEIGHTS)),
            optimizer=mx.nd.load(os.path.join(path, OPTIMIZER)) or {},
            progress=Progress(**state["progress"]),
            class_names=tuple(state["class_names"]),
            metrics=state["metrics"],
            best=state["best"],
        )
        if restore_random:
            _restore_random(state["random"])
    except (ValueError, KeyError, TypeError, mx.base.MXNetError) as error:
        raise CheckpointError(f"{path}: the checkpoint cannot be read: {error}") from error
    return checkpoint


def check_finite(model: gluon.Block, step: int) -> None:
    """Raises TrainingError if a weight is not finite, which can follow from a finite loss.

    step: the number of training steps done, for the message.

    The function waits for the device.
    """
    weights = _weights(model)
    spoilt = [name for name, array in weights.items() if not np.isfinite(array.asnumpy()).all()]
    if spoilt:
        raise TrainingError(
            f"step {step}: expected finite weights, found {len(spoilt)} of {len(weights)} that are "
            f"not, first {spoilt[0]}; they are not saved, and earlier checkpoints are unchanged. A "
            "lower train.lr, a longer warm-up or train.clip_norm may help"
        )


def find_checkpoints(folder: str) -> List[str]:
    """Returns the paths of the complete checkpoints in ``folder``, the oldest first."""
    if not os.path.isdir(folder):
        return []
    names = sorted(name for name in os.listdir(folder) if name.startswith("step-"))
    paths = [os.path.join(folder, name) for name in names]
    return [path for path in paths if os.path.isfile(os.path.join(path, SUMS))]


def mend_checkpoints(folder: str) -> None:
    """Cleans up ``folder`` after a process that was killed while it saved a checkpoint."""
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        left = os.path.join(folder, name)
        if not name.startswith(TEMPORARY):
            continue
        whole = os.path.join(folder, name[len(TEMPORARY) :].replace(ASIDE, ""))
        if name.endswith(ASIDE) and not os.path.isdir(whole):
            os.rename(left, whole)  # the process died between the two renames
        else:
            shutil.rmtree(left)


def _weights(model: gluon.Block) -> Dict[str, NDArray]:
    return {name: p.data() for name, p in model._collect_params_with_prefix().items()}


def _save_arrays(path: str, arrays: Mapping[str, NDArray]) -> None:
    mx.nd.save(path, dict(arrays))
    # MXNet raises no error if the disk is full when it writes the last buffer.
    expected = sum(array.size * np.dtype(array.dtype).itemsize for array in arrays.values())
    if os.path.getsize(path) < expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sums(folder: str) -> str:
    """Returns the sums of a checkpoint's files as sha256sum prints them."""
    return "".join(f"{sha256_of(os.path.join(folder, name))}  {name}\n" for name in _FILES)


def _replace(partial: str, path: str) -> None:
    """Renames ``partial`` to ``path``; an older folder is moved aside first and removed last."""
    aside = partial + ASIDE
    if os.path.isdir(path):
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(path, aside)
    try:
        os.rename(partial, path)
    except OSError:
        if os.path.isdir(aside):
            os.rename(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_format(path: str, state: Dict[str, Any]) -> None:
    """Raises CheckpointError for a later format than this version of detkit reads."""
    number = dict(state).get("format", 1)
    if number > FORMAT:
        raise CheckpointError(
            f"{os.path.join(path, STATE)}: format: expected {FORMAT}, the latest that this detkit "
            f"reads, found {number}; use the detkit that wrote the checkpoint, or a later one"
        )


def _verify(path: str) -> None:
    try:
        with open(os.path.join(path, SUMS), encoding="utf-8") as file:
            lines = [line.split() for line in file]
        sums = {name: digest for digest, name in lines}
    except (OSError, ValueError):
        raise CheckpointError(
            f"{path}: expected a complete checkpoint, found no readable {SUMS}, which is written "
            "last; use another checkpoint (--resume auto takes the latest complete one)"
        ) from None
    for name in _FILES:
        member = os.path.join(path, name)
        if not os.path.isfile(member) or sha256_of(member) != sums.get(name):
            raise CheckpointError(
                f"{member}: expected the file with the sha256 in {SUMS}, found another or none; "
                "use another checkpoint"
            )


def _disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "FileStream.Write incomplete" in str(error)  # MXNet's error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().splitlines()[-1]


def _random_state() -> Dict[str, Any]:
    """Returns the states of the global generators, from which plugins may draw; detkit does not.

    MXNet's state cannot be read: its generator is seeded before every step (runner/seed.py).
    """
    state: Any = np.random.get_state()
    name, keys, position, has_gauss, gauss = state
    numpy_state = [name, keys.tolist(), position, has_gauss, gauss]
    version, internal, gauss_next = random.getstate()
    return {"numpy": numpy_state, "python": [version, list(internal), gauss_next]}


def _restore_random(state: Mapping[str, Any]) -> None:
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, "uint32"), *rest))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))

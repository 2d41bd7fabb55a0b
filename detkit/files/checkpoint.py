"""A checkpoint: one folder with everything a run needs to go on as if it had never stopped.

    weights.params    the network, by structural names
    optimizer.params  what the optimizer remembers, and the gradients of an unfinished accumulation
    state.json        where the run is, its metrics, class names, random number generators
    config.yaml       the resolved config
    SHA256SUMS        of the four, written last: what makes the folder a checkpoint

It is written under a temporary name and renamed, so that a folder with the final name is whole.
"""

import errno
import json
import os
import random
import shutil
from typing import Any, Dict, NamedTuple, Optional

import mxnet as mx
import numpy as np

from detkit.errors import CheckpointError, TrainingError
from detkit.files.disk import sha256_of

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


class Progress(NamedTuple):
    """Where a run is: ``step`` training steps done, ``batch`` batches of ``epoch`` done."""

    step: int = 0
    epoch: int = 0
    batch: int = 0


class Checkpoint(NamedTuple):
    """What load_checkpoint returns. ``metrics`` are the last evaluation's, None before it."""

    path: str
    weights: dict
    optimizer: dict
    progress: Progress
    class_names: tuple
    metrics: Optional[dict]
    best: Optional[float]


def save_checkpoint(path, model, optimizer, progress, class_names, config_text, metrics, best):
    """Write the folder ``path``; an older one of that name is replaced.

    Raises CheckpointError when it cannot be written (disk full, no permission): whatever was
    there before is left as it was.
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
        sums = "".join(f"{sha256_of(os.path.join(partial, name))}  {name}\n" for name in _FILES)
        _write(os.path.join(partial, SUMS), sums)
        _replace(partial, path)
    except (OSError, mx.base.MXNetError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = "the disk is full" if _disk_full(error) else _reason(error)
        raise CheckpointError(
            f"{path}: the checkpoint could not be saved: {reason}; earlier checkpoints are as they "
            "were: make room or mend the folder's permissions, then go on with --resume auto"
        ) from error


def load_checkpoint(path, restore_random=False):
    """Read a checkpoint. Raises CheckpointError for one that is incomplete or damaged."""
    if not os.path.isdir(path):
        raise CheckpointError(
            f"{path}: there is no such checkpoint folder; a run keeps its own in "
            f"WORK_DIR/{FOLDER}, {WEIGHTS} and {SUMS} among the files of each"
        )
    if os.path.isdir(os.path.join(path, FOLDER)):
        inside = find_checkpoints(os.path.join(path, FOLDER))
        raise CheckpointError(
            f"{path}: is the folder of a run, expected one of its checkpoints: "
            f"{', '.join(inside) or '(there is none yet)'}"
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


def check_finite(model, step):
    """TrainingError unless every weight is a number: a finite loss can still make one that is not.

    Waits for the device.
    """
    weights = _weights(model)
    spoilt = [name for name, array in weights.items() if not np.isfinite(array.asnumpy()).all()]
    if spoilt:
        raise TrainingError(
            f"{len(spoilt)} of {len(weights)} weights are not finite after step {step}, the first "
            f"{spoilt[0]}; they are not saved, checkpoints from before are as they were. A lower "
            "train.lr, a longer warm-up or train.clip_norm may help"
        )


def find_checkpoints(folder):
    """The whole checkpoints in ``folder``, oldest first."""
    if not os.path.isdir(folder):
        return []
    names = sorted(name for name in os.listdir(folder) if name.startswith("step-"))
    paths = [os.path.join(folder, name) for name in names]
    return [path for path in paths if os.path.isfile(os.path.join(path, SUMS))]


_FILES = (WEIGHTS, OPTIMIZER, STATE, CONFIG)


def mend_checkpoints(folder):
    """Tidy up after a process that was killed while it saved into ``folder``."""
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        left = os.path.join(folder, name)
        if not name.startswith(TEMPORARY):
            continue
        whole = os.path.join(folder, name[len(TEMPORARY) :].replace(ASIDE, ""))
        if name.endswith(ASIDE) and not os.path.isdir(whole):
            os.rename(left, whole)  # it died between the two renames
        else:
            shutil.rmtree(left)


def _weights(model):
    return {name: p.data() for name, p in model._collect_params_with_prefix().items()}


def _save_arrays(path, arrays):
    mx.nd.save(path, arrays)
    # MXNet does not say when the last buffer did not reach a full disk.
    expected = sum(array.size * np.dtype(array.dtype).itemsize for array in arrays.values())
    if os.path.getsize(path) < expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _replace(partial, path):
    """Rename; an older folder of the name goes out of the way and is removed last."""
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


def _verify(path):
    try:
        with open(os.path.join(path, SUMS), encoding="utf-8") as file:
            sums = dict(reversed(line.split()) for line in file)
    except (OSError, ValueError):
        raise CheckpointError(
            f"{path}: the checkpoint is incomplete: it has no readable {SUMS}, which is written "
            "last; use another one (--resume auto takes the latest whole one)"
        ) from None
    for name in _FILES:
        file = os.path.join(path, name)
        if not os.path.isfile(file) or sha256_of(file) != sums.get(name):
            raise CheckpointError(
                f"{file}: the file is missing, or is not what was saved (its sha256 differs from "
                f"{SUMS}); use another checkpoint"
            )


def _disk_full(error):
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return getattr(error, "errno", None) in full or "FileStream.Write incomplete" in str(error)


def _reason(error):
    return getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]


def _random_state():
    """The global generators, for plugins that draw from them; detkit's own draws need none.

    MXNet's cannot be read: it is seeded anew before every step (runner/seed.py).
    """
    name, keys, position, has_gauss, gauss = np.random.get_state()
    numpy_state = [name, keys.tolist(), position, has_gauss, gauss]
    version, internal, gauss_next = random.getstate()
    return {"numpy": numpy_state, "python": [version, list(internal), gauss_next]}


def _restore_random(state):
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, "uint32"), *rest))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))

"""The arrays of a checkpoint: weights.params and optimizer.params, files of MXNet."""

import errno
import os
from typing import Dict, Mapping

import mxnet as mx
import numpy as np
from mxnet import gluon

from detkit.errors import CheckpointError, WeightsError
from detkit.files.disk import sync
from detkit.files.params import read_params
from detkit.typing import NDArray


def weights_of(model: gluon.Block) -> Dict[str, NDArray]:
    """Returns the weights of a network by name, when they are at rest."""
    # MXNet may still reorder weights after a convolution, and reading them does not wait for that.
    mx.nd.waitall()
    return {name: p.list_data()[0] for name, p in model._collect_params_with_prefix().items()}


def save_arrays(path: str, arrays: Mapping[str, NDArray]) -> None:
    """Writes arrays through to the disk. Raises OSError, also if the disk is full."""
    mx.nd.save(path, dict(arrays))
    # MXNet raises no error if the disk is full when it writes the last buffer.
    expected = sum(array.size * np.dtype(array.dtype).itemsize for array in arrays.values())
    if os.path.getsize(path) < expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    sync(path)


def read_arrays(path: str) -> Dict[str, NDArray]:
    """Returns the arrays of a file. Raises CheckpointError."""
    try:
        arrays = read_params(path)
        return {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}
    except WeightsError as error:  # it names the path
        raise CheckpointError(f"{error}; use another checkpoint") from error
    except (ValueError, MemoryError, mx.base.MXNetError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise CheckpointError(
            f"{path}: expected arrays that MXNet can hold, found others: {reason}; use another "
            "checkpoint"
        ) from error

"""The device that a network runs on: CPU or GPU."""

import mxnet as mx

from detkit.errors import ConfigError
from detkit.typing import Context

DEVICES = ("auto", "cpu", "gpu")


def find_device(name: str) -> Context:
    """Returns the MXNet context called "cpu", "gpu" or "auto" (a GPU if MXNet finds one).

    Raises ConfigError for another name, and for "gpu" if MXNet finds none.
    """
    if name not in DEVICES:
        raise ConfigError(f"device: expected one of {', '.join(DEVICES)}, found {name!r}")
    gpus = mx.context.num_gpus() if name != "cpu" else 0
    if name == "gpu" and not gpus:
        raise ConfigError('device "gpu": expected a GPU, but MXNet found none; use "auto" or "cpu"')
    return mx.gpu(0) if gpus else mx.cpu()

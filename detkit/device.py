"""Where the network lives: CPU or GPU."""

import mxnet as mx

from detkit.errors import ConfigError

DEVICES = ("auto", "cpu", "gpu")


def find_device(name):
    """The MXNet context called "auto" (a GPU where MXNet has one), "cpu" or "gpu"."""
    if name not in DEVICES:
        raise ConfigError(f"the device is one of {', '.join(DEVICES)}, not {name!r}")
    gpus = mx.context.num_gpus() if name != "cpu" else 0
    if name == "gpu" and not gpus:
        raise ConfigError('the device is "gpu", but MXNet finds none; use "auto" or "cpu"')
    return mx.gpu(0) if gpus else mx.cpu()

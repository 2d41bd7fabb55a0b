"""The devices that a network runs on: CPUs or GPUs."""

import re
from typing import List, Sequence, Union

import mxnet as mx

from detkit.errors import ConfigError
from detkit.typing import Context

AUTO = "auto"
NUMBERED = re.compile(r"(cpu|gpu)(?::(\d{1,4}))?")


def find_device(name: str) -> Context:
    """Returns the MXNet context called "cpu", "gpu", "gpu:1" or "auto" (a GPU if MXNet finds one).

    Raises ConfigError for another name, and for a GPU that MXNet does not find.
    """
    if name == AUTO:
        return mx.gpu(0) if mx.context.num_gpus() else mx.cpu()
    match = NUMBERED.fullmatch(name)
    if not match:
        raise ConfigError(
            "device: expected one of auto, cpu, gpu, or one of several such as gpu:1, found "
            f"{name!r}"
        )
    kind, number = match[1], int(match[2] or 0)
    if kind == "cpu":
        return mx.cpu(number)
    gpus = mx.context.num_gpus()
    if number >= gpus:
        known = f"GPUs 0 to {gpus - 1}" if gpus else "none"
        raise ConfigError(
            f'device {name!r}: expected a GPU, but MXNet found {known}; use "auto" or "cpu"'
        )
    return mx.gpu(number)


def find_devices(names: Union[str, Sequence[str]]) -> List[Context]:
    """Returns the contexts of a name or of a list of names, which share the batches of a training.

    Each core of a CPU belongs to all of "cpu:0", "cpu:1", ..., which therefore make nothing faster:
    they are for trying out on a CPU what is meant for several GPUs.

    Raises ConfigError as ``find_device`` does, and for a list that is empty, names a device twice
    or mixes CPUs and GPUs.
    """
    listed = [names] if isinstance(names, str) else list(names)
    devices = [find_device(name) for name in listed]
    if not devices:
        raise ConfigError("device: expected at least one device, found an empty list")
    twice = [name for name, each in zip(listed, devices) if devices.count(each) > 1]
    if twice:
        raise ConfigError(f"device: expected different devices, found {', '.join(twice)}")
    if len({each.device_type for each in devices}) > 1:
        raise ConfigError(
            f"device: expected CPUs alone or GPUs alone, found {', '.join(listed)}, whose "
            "operators differ"
        )
    return devices

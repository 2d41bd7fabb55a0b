"""The names of devices: which are known, and what a list of them may hold."""

import mxnet as mx
import pytest

from detkit.device import find_device, find_devices
from detkit.errors import ConfigError

GPUS = mx.context.num_gpus()


@pytest.mark.parametrize(
    ("name", "found"), [("cpu", mx.cpu()), ("cpu:0", mx.cpu(0)), ("cpu:3", mx.cpu(3))]
)
def test_a_name_is_a_context(name, found):
    assert find_device(name) == found
    assert find_devices(name) == [found]


def test_auto_is_a_gpu_if_there_is_one():
    assert find_device("auto") == (mx.gpu(0) if GPUS else mx.cpu())


def test_several_names_are_several_contexts():
    assert find_devices(["cpu:1", "cpu:0"]) == [mx.cpu(1), mx.cpu(0)]


@pytest.mark.parametrize("name", ["tpu", "gpu:", "cpu:x", "gpu0", "CPU", ""])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ConfigError) as error:
        find_devices([name])
    for part in ("auto", "cpu", "gpu:1", repr(name)):
        assert part in str(error.value)


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ConfigError) as error:
        find_device(f"gpu:{GPUS}")
    assert f"gpu:{GPUS}" in str(error.value)
    assert (f"0 to {GPUS - 1}" if GPUS else "none") in str(error.value)


@pytest.mark.parametrize(
    ("names", "parts"),
    [([], ["at least one", "empty"]), (["cpu", "cpu:0"], ["different", "cpu, cpu:0"])],
)
def test_a_list_names_each_device_once(names, parts):
    with pytest.raises(ConfigError) as error:
        find_devices(names)
    for part in parts:
        assert part in str(error.value)


def test_devices_of_two_kinds_are_refused(monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)
    with pytest.raises(ConfigError) as error:
        find_devices(["gpu:0", "cpu"])
    assert "alone" in str(error.value) and "gpu:0, cpu" in str(error.value)

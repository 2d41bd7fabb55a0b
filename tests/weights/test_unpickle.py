"""Pickles that ask for more than tensors: refused, and nothing of them runs."""

import pickle
import struct
import zipfile

import pytest

from detkit.weights import read_pth
from support.torch_files import (
    LEGACY_MEMORY,
    call,
    mapping,
    name,
    number,
    refused,
    several,
    tensor,
    text,
    write_legacy,
    write_zip,
)


class _Shell:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_starts_a_shell_is_refused_and_does_nothing(tmp_path, protocol):
    path, target = tmp_path / "weights.pth", tmp_path / "ran"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Shell(target), protocol))
    message = refused(path)
    assert "posix.system" in message or "nt.system" in message
    assert "model.state_dict()" in message
    assert not target.exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("os", "system"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils", "_rebuild_qtensor"),
        ("torch", "load"),
        ("torch.nn.modules.container", "Sequential"),
        ("collections", "OrderedDict.update"),
        ("detkit.weights.unpickle", "_GLOBALS"),
        ("numpy.core.multiarray", "_reconstruct"),
    ],
)
def test_every_other_name_is_refused_by_name(tmp_path, module, attribute):
    classic = mapping(a=tensor(), b=name(module, attribute))
    stacked = mapping(a=tensor(), b=text(module) + text(attribute) + b"\x93")
    for body in (classic, stacked):
        assert f"{module}.{attribute}" in refused(write_zip(tmp_path / "weights.pth", body))
    legacy = mapping(a=tensor(memory=LEGACY_MEMORY), b=name(module, attribute))
    assert f"{module}.{attribute}" in refused(write_legacy(tmp_path / "old.pth", legacy))


@pytest.mark.parametrize(
    "body",
    [
        # Attributes set on what a name gives: on the function, with and without slots.
        name("torch._utils", "_rebuild_tensor_v2") + mapping(function=b"N") + b"b",
        name("torch._utils", "_rebuild_tensor_v2") + b"N" + mapping(function=b"N") + b"\x86b",
        name("torch", "FloatStorage") + b"N" + mapping(dtype=text("O")) + b"\x86b",
        name("collections", "OrderedDict") + b"N" + mapping(function=b"N") + b"\x86b",
        # Wrong arguments.
        call(name("torch._utils", "_rebuild_tensor_v2")),
        call(name("torch._utils", "_rebuild_tensor_v2"), *[text("x")] * 6),
        call(name("torch._utils", "_rebuild_parameter"), text("x"), b"\x88", b"}"),
        call(name("torch", "FloatStorage"), number(4)),
    ],
)
def test_the_known_names_can_be_neither_changed_nor_misused(tmp_path, body):
    refused(write_zip(tmp_path / "weights.pth", mapping(a=body)))
    assert list(read_pth(write_zip(tmp_path / "good.pth", mapping(a=tensor())))) == ["a"]


@pytest.mark.parametrize(
    "pid",
    [
        text("storage"),
        several(text("module"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(24)),
        several(text("storage"), text("FloatStorage"), text("0"), text("cpu"), number(24)),
        several(text("storage"), name("torch", "FloatStorage"), number(0), text("cpu"), number(24)),
        several(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(-1)),
        several(text("storage"), name("torch", "FloatStorage")),
    ],
)
def test_unknown_persistent_ids_are_refused(tmp_path, pid):
    assert "pickle" in refused(
        write_zip(tmp_path / "weights.pth", mapping(a=tensor(memory=pid + b"Q")))
    )


def test_a_far_memo_index_is_refused_before_it_allocates_memory(tmp_path):
    body = mapping(a=tensor()) + b"r" + struct.pack("<I", 0xFFFFFFF0)
    assert f"found {0xFFFFFFF0}" in refused(write_zip(tmp_path / "weights.pth", body))

"""Files of weights that would take for ever, or more memory than there is, are refused at once."""

import struct

import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.weights import read_params, read_pkl
from support.limited import messages
from support.torch_files import (
    call,
    mapping,
    name,
    number,
    program,
    refused,
    several,
    tensor,
    write_legacy,
    write_zip,
)

# A tuple of two empty tuples, a tuple of it twice, and so on: 2^40 elements.
NESTED = b")q\0" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(40))
# Each body is a pickle's content that a few bytes make exponentially or quadratically large.
BODIES = {
    "a key of tuples made by DUP": b"})" + b"2\x86" * 40 + b"K\x01s",
    "a key of tuples made by the memo": b"}" + NESTED + b"K\x01s",
    "an element of a set": b"\x8f(" + NESTED + b"\x90",
    "a frozenset": b"(" + NESTED + b"\x91",
    "a key of an OrderedDict": call(name("collections", "OrderedDict"), b"](" + NESTED + b"N\x86e"),
    "the id of a storage": NESTED + b"Q",
    "a long that is multiplied": tensor((), (), 0)[:-3] + b"\x8b\x00\x00\x80\x00" + bytes(1 << 23),
    "lists in lists": b"]" * (8 << 20),
    "copies of a long list": b"](" + b"N" * 200_000 + b"eq\x01" + b"0ctorch\nSize\nq\x020"
    + b"h\x02h\x01\x85R0" * 20_000,
}  # fmt: skip


def test_bombs_in_pickles_end_at_once(tmp_path):
    paths = [tmp_path / f"{index}.pkl" for index in range(len(BODIES))]
    for path, body in zip(paths, BODIES.values()):
        path.write_bytes(program(body))
    answers = messages("detkit.weights.read_pkl", *paths)
    assert len(answers) == len(BODIES)
    for path, answer in zip(paths, answers):
        assert str(path) in answer
        assert "pickle" in answer or "keys" in answer


def test_bombs_in_torchs_files_end_at_once(tmp_path):
    zips = [
        write_zip(tmp_path / f"{index}.pth", body)
        for index, body in enumerate(BODIES.values())
    ]  # fmt: skip
    legacy = [
        write_legacy(tmp_path / f"old-{index}.pth", body)
        for index, body in enumerate(BODIES.values())
    ]  # fmt: skip
    answers = messages("detkit.weights.read_pth", *zips, *legacy, seconds=60)
    assert len(answers) == 2 * len(BODIES)
    assert "read" not in answers


def test_a_nested_byte_order_is_not_hashed(tmp_path):
    state = several(number(3), NESTED, b"N", b"N", b"N", number(-1), number(-1), number(0))
    kind = call(name("numpy", "dtype"), b"X\x02\0\0\0f4", b"\x89", b"\x88") + state + b"b"
    array = call(name("numpy.core.multiarray", "_reconstruct"), b"N", b"N", b"N")
    body = array + several(number(1), several(number(1)), kind, b"\x89", b"C\x04abcd") + b"b"
    path = tmp_path / "a.pkl"
    path.write_bytes(program(mapping(a=body)))
    (answer,) = messages("detkit.weights.read_pkl", path)
    assert "array 'a'" in answer


def test_a_stated_length_is_not_allocated(tmp_path):
    path = write_zip(tmp_path / "a.pth", mapping(a=tensor()))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.index(b"data/0", data.index(b"PK\x01\x02")))
    data[entry + 20 : entry + 24] = b"\xff\xff\xff\x7f"  # the compressed size
    path.write_bytes(data)
    legacy = write_legacy(tmp_path / "b.pth", mapping(a=tensor()))
    legacy.write_bytes(legacy.read_bytes().replace(b"X\x01\0\0\0a", b"X\xff\xff\xff\xffa"))
    answers = messages("detkit.weights.read_pth", path, legacy)
    assert "zip bomb" in answers[0]
    assert "pickle" in answers[1]


def test_a_small_storage_is_not_repeated_without_end(tmp_path):
    repeated = tensor((2**20,), (0,))
    state = write_zip(tmp_path / "a.pth", mapping(a=repeated))
    with np.errstate(all="raise"):
        assert messages("detkit.weights.read_pth", state) == ["read"]
    message = refused(write_zip(tmp_path / "b.pth", mapping(a=tensor((2**40,), (0,)))))
    assert "tensor 'a'" in message
    assert f"found {2**40}" in message


@pytest.mark.parametrize("shape", [(2**32, 3 * 2**33, 0, 1, 2), (0, 2**62, 2**62)])
def test_an_empty_array_of_impossible_sides(tmp_path, shape):
    path = tmp_path / "a.params"
    head = struct.pack("<QQQIii", 0x112, 0, 1, 0xF993FACA, 0, len(shape))
    body = head + struct.pack(f"<{len(shape)}q", *shape) + struct.pack("<iii", 1, 0, 0)
    path.write_bytes(body + struct.pack("<QQ", 1, 1) + b"a")
    with pytest.raises(WeightsError) as caught:
        read_params(path)
    assert f"{path}: " in str(caught.value)
    assert str(shape) in str(caught.value)


def test_a_set_and_numbers_as_keys_are_read(tmp_path):
    path = tmp_path / "a.pkl"
    array = call(name("numpy.core.multiarray", "_reconstruct"), b"N", b"N", b"N")
    extra = b"\x8f(K\x01K\x02\x90"
    path.write_bytes(program(mapping(epochs=extra, model=b"}(X\x01\0\0\0a" + array + b"u")))
    with pytest.raises(WeightsError, match="array 'a': expected a complete description"):
        read_pkl(path)

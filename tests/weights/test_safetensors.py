"""read_safetensors against files written by hand: what is read, and what is refused."""

import json
import random
import struct

import ml_dtypes
import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.weights import read_safetensors, read_weights
from detkit.weights.safetensors import DTYPES, HEADER_LIMIT
from support import safetensors_files
from support.limited import messages
from support.safetensors_files import entry

NUMBERS = np.arange(6, dtype="<f4").reshape(2, 3)
DATA = NUMBERS.tobytes()
# Written by safetensors 0.8, which puts the widest types first: {"b": one bfloat16, "a": NUMBERS}.
PUBLISHED = (
    struct.pack("<Q", 120)
    + b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
    + b'"b":{"dtype":"BF16","shape":[1],"data_offsets":[24,26]}}       '
    + DATA
    + b"\x80\x3f"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def write(path, header, data=DATA):
    return safetensors_files.write(path, header, data)


def refused(path):
    with pytest.raises(WeightsError) as caught:
        read_safetensors(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message


# --- What is read ---------------------------------------------------------------------------------


def test_a_published_file(path):
    path.write_bytes(PUBLISHED)
    state = read_weights(path)
    assert list(state) == ["a", "b"]
    np.testing.assert_array_equal(state["a"], NUMBERS)
    assert state["a"].dtype == "float32"
    np.testing.assert_array_equal(state["b"], np.ones(1, "float32"))
    assert state["b"].dtype == "float32"
    assert not any(array.flags.writeable for array in state.values())


def test_the_order_is_that_of_the_header(path):
    header = {"z": entry((3,), 12, 24), "__metadata__": {"format": "pt"}, "a": entry((3,), 0, 12)}
    state = read_safetensors(write(path, header))
    assert list(state) == ["z", "a"]
    np.testing.assert_array_equal(state["z"], [3, 4, 5])
    np.testing.assert_array_equal(state["a"], [0, 1, 2])


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "BF16"])
def test_every_type_keeps_its_values(path, dtype):
    values = np.array([[0, 1, 1, 0]], DTYPES[dtype])
    header = {"ä": entry((1, 4), 0, values.nbytes, dtype)}
    (actual,) = read_safetensors(write(path, header, values.tobytes())).values()
    np.testing.assert_array_equal(actual, values)
    assert actual.dtype == values.dtype


def test_every_bfloat16_becomes_the_same_float32(path):
    bits = np.arange(2**16, dtype="<u2")
    header = {"a": entry((256, 256), 0, bits.nbytes, "BF16")}
    actual = read_safetensors(write(path, header, bits.tobytes()))["a"].ravel()
    expected = bits.view(ml_dtypes.bfloat16).astype("float32")
    np.testing.assert_array_equal(actual.view("u4"), expected.view("u4"))


def test_arrays_without_elements_and_without_axes(path):
    header = {"empty": entry((0, 5), 0, 0), "one": entry((), 0, 4), "none": entry((0,), 4, 4)}
    state = read_safetensors(write(path, header, struct.pack("<f", 7)))
    assert [array.shape for array in state.values()] == [(0, 5), (), (0,)]
    assert state["one"] == 7
    assert read_safetensors(write(path, {}, b"")) == {}


def test_a_header_of_274_bytes_is_not_taken_for_one_of_mxnet(path):
    text = json.dumps({"a": entry()}).encode()
    write(path, text + b" " * (0x112 - len(text)))
    np.testing.assert_array_equal(read_weights(path)["a"], NUMBERS)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "fragments"),
    [
        ({"a": entry(end=28)}, ["'a'", "(2, 3)", "F32", "24 bytes", "[0, 28]"]),
        ({"a": entry(begin=4, end=28)}, ["'a'", "from 0", "4 to 28"]),
        ({"a": entry((3,), 0, 12), "b": entry((3,), 8, 20)}, ["'b'", "from 12", "8 to 20"]),
        ({"a": entry((2,), 0, 8), "b": entry((3,), 12, 24)}, ["'b'", "from 8", "12 to 24"]),
        ({"a": entry((6, 2), 0, 48)}, ["'a'", "at most 24", "0 to 48"]),
        ({"a": entry((2, 2), 0, 16)}, ["16 bytes", "24"]),
        ({"a": entry((-2, -3))}, ["'a'", "shape", "[-2, -3]"]),
        ({"a": entry((2.0, 3))}, ["'a'", "shape", "[2.0, 3]"]),
        ({"a": entry((True, 6))}, ["'a'", "shape", "[True, 6]"]),
        ({"a": {**entry(), "shape": 6}}, ["'a'", "shape", "6"]),
        ({"a": entry([1] * 33)}, ["'a'", "32"]),
        ({"a": entry(begin=-24, end=0)}, ["'a'", "[-24, 0]"]),
        ({"a": {**entry(), "data_offsets": [0, 24, 24]}}, ["'a'", "[0, 24, 24]"]),
        ({"a": entry(dtype="F8_E4M3")}, ["'a'", "BF16", "'F8_E4M3'"]),
        ({"a": {**entry(), "dtype": ["F32"]}}, ["'a'", "dtype", "['F32']"]),
        ({"a": {"dtype": "F32", "shape": [6]}}, ["'a'", "data_offsets"]),
        ({"a": {**entry(), "x": 1}}, ["'a'", "'x'"]),
        ({"a": 3}, ["'a'", "3"]),
        ([entry()], ["by name", "F32"]),
        ({"__metadata__": {"a": 1}, "a": entry()}, ["__metadata__", "{'a': 1}"]),
        (b"{'a': 1}", ["JSON", "{'a': 1}"]),
        (b"\xff{}", ["JSON", "xff"]),
        (b"", ["JSON"]),
        (b'{"a": {"shape": [%s]}}' % (b"9" * 5000), ["digits", "999"]),
        (b"[" * 100_000, ["JSON"]),
        (b'{"\\ud800": 1}', ["JSON", "surrogates"]),
        (json.dumps({"a": entry()}).encode().replace(b"}", b', "dtype": 1}', 1), ["'dtype' twice"]),
    ],
)
def test_a_header_that_cannot_be(path, header, fragments):
    message = refused(write(path, header))
    for fragment in fragments:
        assert fragment in message


def test_an_empty_array_that_numpy_cannot_make(path):
    message = refused(write(path, {"a": entry((0, 2**62, 2**62), 0, 0)}, b""))
    assert "'a'" in message
    assert str(2**62) in message


def test_a_name_that_is_given_twice(path):
    one = json.dumps(entry((3,), 0, 12))
    other = json.dumps(entry((3,), 12, 24))
    assert "'a' twice" in refused(write(path, f'{{"a": {one}, "a": {other}}}'.encode()))


def test_files_that_are_no_safetensors(path):
    for content in (
        b"",
        b"\0" * 7,
        b"version https://git-lfs",
        b"<html>\n</html>",
        b"PK\x03\x04" * 9,
    ):
        path.write_bytes(content)
        message = refused(path)
        assert repr(content[:8]) in message
        assert f"{len(content)}," in message
    assert "No such file" in refused(path.with_name("none.safetensors"))


def test_a_header_that_is_too_large_is_not_read(path):
    path.write_bytes(struct.pack("<Q", HEADER_LIMIT + 1) + bytes(HEADER_LIMIT + 9))
    assert str(HEADER_LIMIT) in refused(path)
    assert str(HEADER_LIMIT + 1) in refused(path)


def test_the_largest_headers_end_at_once(tmp_path):
    bodies = (b'{"a":' * 800_000, b"[" + b"[]," * 1_390_000 + b"1]", b"9" * 4_000_000)
    paths = [tmp_path / f"{index}.safetensors" for index in range(len(bodies))]
    for each, body in zip(paths, bodies):
        write(each, body)
    answers = messages("detkit.weights.read_safetensors", *paths)
    assert len(answers) == len(bodies)
    for each, answer in zip(paths, answers):
        assert answer.startswith(f"{each}: ")
        assert "header" in answer


def test_cut_and_damaged_files_are_refused_or_read(path):
    for length in range(len(PUBLISHED)):
        path.write_bytes(PUBLISHED[:length])
        refused(path)
    path.write_bytes(PUBLISHED + b"\0")
    assert "26 bytes" in refused(path)
    draw = random.Random(0)
    read = 0
    for _ in range(500):
        damaged = bytearray(PUBLISHED)
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read += len(read_safetensors(path)) > 0
        except WeightsError:
            continue
    assert 0 < read < 250  # the bytes of the arrays may have any value

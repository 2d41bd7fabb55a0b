"""read_pkl: numpy's pickles of every protocol, and pickles that ask for more or are broken."""

import collections
import os
import pickle
import random

import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.weights import read_pkl, read_pth
from support.torch_files import call, mapping, name, number, program, several, text

ARRAYS = {
    "conv.weight": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "conv.bias": np.array([1.5, -2], "f2"),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(4, dtype=">i8"),
    "empty": np.zeros((0, 3), "f4"),
    "flags": np.array([True, False]),
    "scalar": np.float32(7.25),
    "all bytes": np.arange(256, dtype="u1"),
}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model_final.pkl"


def write(path, content, protocol=3):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def refused(path):
    with pytest.raises(WeightsError) as caught:
        read_pkl(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def described(shape=b"", dtype="f4", data=b"", order="<", fortran=b"\x89"):
    """The pickle of an array, from its parts."""
    reconstruct = name("numpy.core.multiarray", "_reconstruct")
    array = call(reconstruct, name("numpy", "ndarray"), several(number(0)), text("b"))
    state = several(number(3), text(order), b"N", b"N", b"N", number(-1), number(-1), number(0))
    kind = call(name("numpy", "dtype"), text(dtype), b"\x89", b"\x88") + state + b"b"
    content = b"B" + len(data).to_bytes(4, "little") + data if isinstance(data, bytes) else data()
    return array + several(number(1), shape, kind, fortran, content) + b"b"


def write_body(path, body):
    path.write_bytes(program(body))
    return path


# --- What is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_every_protocol(path, protocol):
    content = {"model": collections.OrderedDict(ARRAYS), "__author__": "Detectron2 Model Zoo"}
    actual = read_pkl(write(path, content, protocol))
    assert list(actual) == list(ARRAYS)
    for key, expected in ARRAYS.items():
        np.testing.assert_array_equal(actual[key], expected)
        assert actual[key].dtype == expected.dtype.newbyteorder("=")
        assert not actual[key].flags.writeable


def test_numpy_2_names_its_core_with_an_underscore(path):
    data = pickle.dumps({"model": ARRAYS}, 3)
    data = data.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    path.write_bytes(data)
    np.testing.assert_array_equal(read_pkl(path)["columns"], ARRAYS["columns"])


def test_detectrons_key_of_the_arrays(path):
    assert list(read_pkl(write(path, {"blobs": ARRAYS, "cfg": "x"}))) == list(ARRAYS)


def test_a_dict_of_arrays_alone(path):
    assert list(read_pkl(write(path, ARRAYS))) == list(ARRAYS)


def test_an_array_of_two_names(path):
    tied = np.ones(5000, "f4")
    actual = read_pkl(write(path, {"model": {"a": tied, "b": tied}}))
    np.testing.assert_array_equal(actual["a"], actual["b"])


def test_strings_of_python_2_are_bytes(path):
    values = np.arange(3, dtype="<f4")
    raw = lambda: b"U" + bytes([12]) + values.tobytes()  # noqa: E731
    body = described(several(number(3)), data=raw)
    np.testing.assert_array_equal(read_pkl(write_body(path, mapping(a=body)))["a"], values)


# --- What is refused ----------------------------------------------------------------------------


class _Shell:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_that_starts_a_shell_is_refused_and_does_nothing(path, tmp_path, protocol):
    target = tmp_path / "ran"
    message = refused(write(path, {"model": {**ARRAYS, "x": _Shell(target)}}, protocol))
    assert "posix.system" in message or "nt.system" in message
    assert '{"model": {name: array}}' in message
    assert not target.exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.core", "multiarray._reconstruct"),
        ("numpy.testing._private.utils", "runstring"),
        ("_codecs", "decode"),
        ("codecs", "open"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("detkit.weights.pkl", "ARRAYS"),
    ],
)
def test_every_other_name_is_refused_by_name(path, module, attribute):
    for body in (name(module, attribute), text(module) + text(attribute) + b"\x93"):
        assert f"{module}.{attribute}" in refused(write_body(path, mapping(a=body)))


def test_numpys_names_are_not_torchs(tmp_path):
    path = write(tmp_path / "weights.pth", {"model": ARRAYS})
    with pytest.raises(WeightsError):
        read_pth(path)


@pytest.mark.parametrize(
    "body",
    [
        # Attributes set on what a name gives, a call of what is none, states of another kind.
        name("numpy", "ndarray") + mapping(tofile=b"N") + b"b",
        name("numpy.core.multiarray", "_reconstruct") + mapping(function=b"N") + b"b",
        name("numpy", "dtype") + b"N" + mapping(function=b"N") + b"\x86b",
        name("collections", "OrderedDict") + b"N" + mapping(function=b"N") + b"\x86b",
        call(name("numpy", "ndarray"), number(3)),
        call(name("numpy", "dtype")),
        call(name("numpy", "dtype"), text("f4")) + b"Nb",
        call(name("_codecs", "encode"), text("x"), text("utf-7")),
        call(name("_codecs", "encode"), number(1), text("latin1")),
        call(name("numpy.core.multiarray", "scalar"), number(1)),
        name("numpy", "ndarray") + b")\x81",
        text("storage") + b"Q",
        b"P1\n",
    ],
)
def test_the_known_names_can_be_neither_changed_nor_misused(path, body):
    refused(write_body(path, mapping(good=described(several(number(1)), data=bytes(4)), a=body)))
    assert list(read_pkl(write(path, ARRAYS))) == list(ARRAYS)


@pytest.mark.parametrize(
    "dtype", ["O", "V8", "S4", "U4", "M8", "c8", "f4,f4", "f1", "f16", "(2,)f4"]
)
def test_elements_that_are_no_plain_numbers(path, dtype):
    body = described(several(number(1)), dtype, bytes(8))
    message = refused(write_body(path, mapping(a=body)))
    assert "array 'a': " in message
    assert f"of type {dtype!r}" in message


@pytest.mark.parametrize(
    ("shape", "data", "says"),
    [
        (several(number(3)), bytes(8), "12 bytes, found 8 "),
        (several(number(1)), bytes(8), "4 bytes, found 8 "),
        (several(number(2**40), number(2**40)), bytes(8), f"{2**82} bytes, found 8 "),
        (several(number(-1)), bytes(4), "shape, found (-1,)"),
        (several(b"\x88"), bytes(4), "shape, found (True,)"),
        (number(1), bytes(4), "shape, found 1"),
        (several(*[number(1)] * 70), bytes(4), "cannot be made"),
        (several(number(0), number(2**80)), b"", "cannot be made"),
        (several(number(1)), lambda: b"N", "4 bytes, found NoneType"),
        (several(number(4)), lambda: text("aaa€aaaaaaaaaaaa"), "cannot be made"),
    ],
)
def test_arrays_that_cannot_be(path, shape, data, says):
    assert says in refused(write_body(path, mapping(a=described(shape, data=data))))


def test_many_arrays_of_the_same_bytes_are_refused(path):
    data = b"B" + (4096).to_bytes(4, "little") + bytes(4096)
    first = described(several(number(1024)), data=lambda: data + b"q\x05")
    others = {f"a{i}": described(several(number(1024)), data=lambda: b"h\x05") for i in range(50)}
    message = refused(write_body(path, mapping(a=first, **others)))
    assert "4096 bytes, found 4096 " in message
    assert "of the file are left" in message


def test_an_array_without_a_state(path):
    body = call(name("numpy.core.multiarray", "_reconstruct"), b"N", b"N", b"N")
    assert "array 'a': " in refused(write_body(path, mapping(a=body)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"blobs": [1]}, "the keys 'blobs'"),
        ({"blobs": {**ARRAYS, "lr": 0.1}}, "entry 'lr': expected"),
        ({"model": ARRAYS, "matching_heuristics": True}, "matching_heuristics"),
        ({"model": {"a": 1}}, "the keys 'model'"),
        ({"model": {**ARRAYS, "a": "x"}}, "entry 'a': expected"),
        ({"model": {**ARRAYS, 3: ARRAYS["big"]}}, "entry 3: expected"),
        ([1], "found list"),
    ],
)
def test_pickles_of_other_things(path, content, says):
    assert says in refused(write(path, content))


def test_files_that_are_no_pickle(path):
    for content in (b"", b"PK\x03\x04", b"<html>", b"\x80\x02", b"\x80\xff}."):
        path.write_bytes(content)
        assert "damaged" in refused(path)
    assert "No such file" in refused(path.with_name("none.pkl"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pickletools")
@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_cut_and_damaged_files_are_refused_or_read(path, protocol):
    whole = pickle.dumps({"model": ARRAYS}, protocol)
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        refused(path)
    draw = random.Random(protocol)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            actual = read_pkl(path)
        except WeightsError:
            continue
        assert all(isinstance(array, np.ndarray) for array in actual.values())

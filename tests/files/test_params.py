"""read_params against MXNet's own files, and against files that are none or are damaged."""

import struct

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from detkit.errors import WeightsError
from detkit.weights import read_params, read_weights
from support import torch_files

DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.params"


def save(path, arrays):
    mx.nd.save(str(path), arrays)
    return path


def file_of(*arrays, names=None):
    """The bytes of a file, the arrays written by hand."""
    names = [f"a{n}" for n in range(len(arrays))] if names is None else names
    texts = [struct.pack("<Q", len(name)) + name.encode() for name in names]
    count = struct.pack("<QQQ", 0x112, 0, len(arrays))
    return b"".join([count, *arrays, struct.pack("<Q", len(names)), *texts])


ON_CPU_FLOAT32 = struct.pack("<iii", 1, 0, 0)
NUMBERS = np.arange(6, dtype="<f4")
DENSE = struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, 2, 3) + ON_CPU_FLOAT32 + NUMBERS.tobytes()


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_params(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_mxnet_saves(path, dtype):
    values = np.random.RandomState(0).randint(0, 2, (2, 3, 4)).astype(dtype)
    one = mx.nd.array(values, dtype=dtype)
    state = read_params(save(path, {"b.weight": one, "a": one[0], "ä": one[0, 0, :1]}))
    assert list(state) == ["b.weight", "a", "ä"]
    for actual, expected in zip(state.values(), (values, values[0], values[0, 0, :1])):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == dtype


def test_what_mxnet_saves_with_the_shapes_of_numpy(path):
    with mx.util.np_shape(True):
        save(path, {"scalar": mx.nd.ones(()), "none": mx.nd.ones((0, 3)), "a": mx.nd.ones((2,))})
    state = read_params(path)
    assert {name: array.shape for name, array in state.items()} == {
        "scalar": (),
        "none": (0, 3),
        "a": (2,),
    }
    assert state["scalar"] == 1


def test_what_a_network_saves(path):
    net = nn.HybridSequential()
    net.add(nn.Dense(3, in_units=2), nn.BatchNorm(in_channels=3))
    net.initialize(mx.init.Normal(1))
    net.save_parameters(str(path))
    expected = net._collect_params_with_prefix()
    for state in (read_params(path), read_weights(path)):
        assert set(state) == set(expected)
        for name, array in state.items():
            np.testing.assert_array_equal(array, expected[name].data().asnumpy())


@pytest.mark.parametrize(
    "begin",
    [
        struct.pack("<Iiiqq", 0xF993FACA, 0, 2, 2, 3),
        struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, 2, 3),
        struct.pack("<Iiqq", 0xF993FAC8, 2, 2, 3),
        struct.pack("<III", 2, 2, 3),
    ],
    ids=["numpy's shapes", "1.0", "0.11", "before"],
)
def test_files_of_every_version(path, begin):
    path.write_bytes(file_of(begin + ON_CPU_FLOAT32 + NUMBERS.tobytes(), DENSE))
    state = read_params(path)
    assert list(state) == ["a0", "a1"]
    for array in state.values():
        np.testing.assert_array_equal(array, NUMBERS.reshape(2, 3))
    if begin.startswith(struct.pack("<I", 0xF993FACA)):
        return  # MXNet reads files of one kind of shapes at a time
    for name, array in mx.nd.load(str(path)).items():
        np.testing.assert_array_equal(array.asnumpy(), state[name])


def test_a_file_cut_short_anywhere(path):
    whole = file_of(DENSE, DENSE)
    for length in range(len(whole)):
        assert any(word in refused(path, whole[:length]) for word in ("short", "mx.nd.save"))


def test_a_file_with_any_byte_changed(path):
    whole = file_of(DENSE, DENSE)
    messages = 0
    for position in range(len(whole)):
        for value in (0x00, 0x01, 0x7F, 0xFF):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                state = read_params(path)
            except WeightsError as error:
                assert str(error).startswith(f"{path}: ")
                messages += 1
            else:
                assert sum(array.nbytes for array in state.values()) <= len(whole)
    assert messages > len(whole)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "mx.nd.save"),
        (b"PK\x03\x04" + bytes(40), "mx.nd.save"),
        (file_of(DENSE) + b"more", "damaged: .*found 4 more bytes"),
        (file_of(DENSE, DENSE, names=["a", "a"]), "found 2 arrays and 1 names"),
        (file_of(DENSE, names=[]), "found 1 arrays and 0 names"),
        (file_of(struct.pack("<Ii", 0xF993FAC9, 1) + DENSE[8:]), r"sparse .*\(storage 1\)"),
        (file_of(struct.pack("<Iii", 0xF993FAC9, 0, -1) + DENSE[12:]), "an array of -1 axes"),
        (file_of(struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, -2, 3)), r"shape \(-2, 3\)"),
        (file_of(DENSE[:36] + struct.pack("<i", 99) + NUMBERS.tobytes()), "of type 99"),
        (file_of(DENSE[:12] + struct.pack("<qq", 2**40, 2**40) + DENSE[28:]), "cut short: .*48357"),
        (struct.pack("<QQQ", 0x112, 0, 2**60), "cut short: .*1152921504606846976"),
        (file_of(DENSE)[:-2] + b"\xff\xff", "damaged: .*names in UTF-8"),
    ],
)
def test_what_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_params(path)


def test_a_file_that_cannot_be_read(path, tmp_path):
    with pytest.raises(WeightsError, match="none.params: .*No such file"):
        read_params(tmp_path / "none.params")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_params(tmp_path)


def test_the_kind_of_a_file_is_found_out(tmp_path):
    renamed = save(tmp_path / "weights.bin", {"a": mx.nd.ones(2)})
    assert list(read_weights(renamed)) == ["a"]
    content = torch_files.mapping(a=torch_files.tensor())
    assert list(read_weights(torch_files.write_zip(tmp_path / "weights.pth", content))) == ["a"]
    (tmp_path / "damaged.params").write_bytes(b"")
    with pytest.raises(WeightsError, match="damaged.params: .*mx.nd.save"):
        read_weights(tmp_path / "damaged.params")

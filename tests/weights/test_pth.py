"""read_pth against files made by hand and two published ones: what is read, what refused."""

import math
import pickle
import zipfile

import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.weights import read_pth
from support.torch_files import (
    LEGACY_MEMORY,
    NUMBERS,
    WEIGHTS,
    call,
    mapping,
    name,
    needs_weights,
    number,
    ordered,
    refused,
    storage,
    tensor,
    write_legacy,
    write_zip,
)

KINDS = {"f4": "Float", "f2": "Half", "i8": "Long", "u1": "Byte", "b1": "Bool"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


# --- What is read -------------------------------------------------------------------------------


def test_a_zip_file_gives_its_tensors_by_name_in_order(path):
    state = read_pth(write_zip(path, mapping(b=tensor(), a=tensor((24,), (1,)))))
    assert list(state) == ["b", "a"]
    np.testing.assert_array_equal(state["b"], NUMBERS.reshape(4, 6))
    assert state["b"].dtype == np.float32
    assert not state["b"].flags.writeable


def test_a_legacy_file_gives_the_same_as_a_zip_file(path, tmp_path):
    zipped = read_pth(write_zip(path, mapping(a=tensor())))
    legacy = read_pth(write_legacy(tmp_path / "old.pth", mapping(a=tensor(memory=LEGACY_MEMORY))))
    np.testing.assert_array_equal(zipped["a"], legacy["a"])


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((6, 4), (1, 6), 0, NUMBERS.reshape(4, 6).T),
        ((2, 3), (6, 2), 6, NUMBERS.reshape(4, 6)[1:3, ::2]),
        ((3, 2), (0, 1), 5, np.broadcast_to(NUMBERS[5:7], (3, 2))),
        ((), (), 23, NUMBERS[23]),
        ((0, 5), (5, 1), 0, np.zeros((0, 5))),
        ((1, 24), (1000, 1), 0, NUMBERS[None]),
    ],
)
def test_views_are_rebuilt_with_their_strides_and_offsets(path, shape, strides, offset, expected):
    actual = read_pth(write_zip(path, mapping(a=tensor(shape, strides, offset))))["a"]
    np.testing.assert_array_equal(actual, expected)
    assert actual.shape == shape


@pytest.mark.parametrize(("dtype", "kind"), KINDS.items())
def test_every_element_type_keeps_its_dtype(path, dtype, kind):
    values = np.array([0, 1, 1], dtype)
    memory = storage(size=3, kind=f"{kind}Storage", module="torch.cuda")
    body = mapping(a=tensor((3,), (1,), memory=memory))
    actual = read_pth(write_zip(path, body, {"0": values.tobytes()}))["a"]
    assert actual.dtype == values.dtype
    np.testing.assert_array_equal(actual, values)


def test_bfloat16_becomes_float32(path):
    values = np.array([1.0, -2.5, 0.0078125], np.float32)  # each exact in bfloat16
    half = (values.view(np.uint32) >> 16).astype(np.uint16)
    memory = storage(size=3, kind="BFloat16Storage")
    actual = read_pth(
        write_zip(path, mapping(a=tensor((3,), (1,), memory=memory)), {"0": half.tobytes()})
    )
    assert actual["a"].dtype == np.float32
    np.testing.assert_array_equal(actual["a"], values)


def test_a_big_endian_file_is_turned_round(path):
    swapped = {"0": NUMBERS.astype(">f4").tobytes()}
    members = {"archive/byteorder": b"big"}
    actual = read_pth(write_zip(path, mapping(a=tensor()), swapped, members))["a"]
    np.testing.assert_array_equal(actual, NUMBERS.reshape(4, 6))
    assert actual.dtype.isnative


def test_parameters_and_ordered_dicts_with_metadata_are_read(path):
    rebuild = name("torch._utils", "_rebuild_parameter")
    parameter = call(rebuild, tensor(), b"\x88", call(name("collections", "OrderedDict")))
    # Torch hangs `_metadata` on its state dicts; here it tries to hide a method.
    body = ordered(a=parameter) + mapping(_metadata=b"}", items=number(1)) + b"b"
    np.testing.assert_array_equal(read_pth(write_zip(path, body))["a"], NUMBERS.reshape(4, 6))


@pytest.mark.parametrize("key", ["state_dict", "model", "net"])
def test_a_state_dict_inside_a_checkpoint_is_unwrapped(path, key):
    body = mapping(**{key: mapping(a=tensor()), "epoch": number(3), "optimizer": mapping()})
    assert list(read_pth(write_zip(path, body))) == ["a"]


def test_a_legacy_checkpoint_skips_the_storages_of_its_other_parts(path):
    other = tensor((2,), (1,), memory=storage("1", 2, extra=(b"N",)))
    optimizer = mapping(state=mapping(momentum=other))
    body = mapping(model=mapping(a=tensor(memory=LEGACY_MEMORY)), optimizer=optimizer)
    write_legacy(path, body, {"1": np.ones(2, np.float32), "0": NUMBERS})
    np.testing.assert_array_equal(read_pth(path)["a"], NUMBERS.reshape(4, 6))


def test_two_state_dicts_are_not_chosen_between(path):
    body = mapping(model=mapping(a=tensor()), ema=mapping(a=tensor()))
    assert "found 'model', 'ema'" in refused(write_zip(path, body))


# --- What is refused: memory --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((25,), (1,), 0),
        ((4, 6), (6, 1), 1),
        ((2,), (24,), 0),
        ((1,), (1,), 24),
        ((2**31, 2**31), (2**31, 1), 0),
        ((2,), (2**62,), 0),
    ],
)
def test_a_view_that_reaches_outside_its_storage_is_refused(path, shape, strides, offset):
    message = refused(write_zip(path, mapping(conv=tensor(shape, strides, offset))))
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides))
    assert f"tensor 'conv' (shape {shape}" in message
    assert f"at least {last + 1} elements, found 24" in message


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((-1,), (1,), 0), ((4,), (-1,), 3), ((4,), (1,), -4), ((4, 6), (1,), 0), ((True,), (1,), 0)],
)
def test_impossible_numbers_are_refused(path, shape, strides, offset):
    assert "a tensor" in refused(write_zip(path, mapping(a=tensor(shape, strides, offset))))


@pytest.mark.parametrize("shape", [(2**40, 2**40), (0, 2**80)])
def test_a_shape_no_array_can_have_is_refused(path, shape):
    assert math.prod(shape) == 0 or math.prod(shape) > 2**63
    assert "tensor 'a' of shape" in refused(write_zip(path, mapping(a=tensor(shape, (0, 0)))))


def test_a_storage_of_another_size_than_declared_is_refused(path):
    body = mapping(a=tensor(memory=storage(size=2**40)))
    assert f"storage 0: expected {2**42} bytes, found 96" in refused(write_zip(path, body))


def test_one_storage_described_in_two_ways_is_refused(path):
    body = mapping(a=tensor(), b=tensor((3,), (1,), memory=storage(kind="HalfStorage")))
    assert "storage 0: " in refused(write_zip(path, body))


def test_a_storage_that_is_not_there_is_refused(path):
    body = mapping(a=tensor(memory=storage(key="../../../etc/passwd")))
    assert "archive/data/../../../etc/passwd" in refused(write_zip(path, body))


def test_members_that_lead_out_of_the_archive_are_never_unpacked(path, tmp_path):
    members = {"../../escaped": b"x", "/escaped": b"x"}
    before = sorted(tmp_path.parent.iterdir())
    assert list(read_pth(write_zip(path, mapping(a=tensor()), members=members))) == ["a"]
    assert sorted(tmp_path.parent.iterdir()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pth"]


def test_a_zip_bomb_is_refused(path):
    body = mapping(a=tensor((2**22,), (1,), memory=storage(size=2**22)))
    write_zip(path, body, {"0": bytes(2**24)}, compression=zipfile.ZIP_DEFLATED)
    assert "zip bomb" in refused(path)


# --- What is refused: files that are something else ---------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "with b'version https://'"),
        (pickle.dumps({"a": 1}, 2), "torch.save"),
        (b"PK\x03\x04" + bytes(50), "damaged"),
    ],
)
def test_what_the_file_is_instead_is_said(path, content, said):
    path.write_bytes(content)
    assert said in refused(path)


def test_missing_files_and_folders_are_said(tmp_path):
    assert "No such file" in refused(tmp_path / "missing.pth")
    assert "cannot be read" in refused(tmp_path)


def test_another_zip_archive_is_said(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "")
    message = refused(path)
    assert "torch.save" in message
    assert "word/document.xml" in message


@pytest.mark.parametrize("body", [mapping(), mapping(epoch=number(3)), number(3), b"N", b"]"])
def test_a_file_without_tensors_is_refused(path, body):
    assert "tensors, found" in refused(write_zip(path, body))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_cut_short_anywhere_is_refused(path, legacy):
    write = write_legacy if legacy else write_zip
    whole = write(path, mapping(a=tensor(memory=LEGACY_MEMORY))).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_damaged_byte_gives_an_array_or_a_weights_error(path, legacy):
    write = write_legacy if legacy else write_zip
    whole = write(path, mapping(a=tensor(memory=LEGACY_MEMORY))).read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            outcomes.add(type(read_pth(path)))
        except WeightsError as error:
            outcomes.add(type(error))
    assert outcomes == {dict, WeightsError}


# --- Published files ----------------------------------------------------------------------------


@needs_weights
def test_torchvisions_mobilenet_is_read():
    state = read_pth(WEIGHTS / "mobilenet_v2-b0353104.pth")
    assert len(state) == 314
    assert state["features.0.0.weight"].shape == (32, 3, 3, 3)
    assert state["features.0.1.num_batches_tracked"].dtype == np.int64
    assert state["classifier.1.weight"].shape == (1000, 1280)
    assert all(np.isfinite(array).all() for array in state.values())
    assert all((state[n] > 0).all() for n in state if n.endswith("running_var"))


@needs_weights
def test_the_half_precision_vgg16_is_read():
    state = read_pth(WEIGHTS / "vgg16_features_fp16.pth")
    assert len(state) == 26
    assert {array.dtype for array in state.values()} == {np.dtype(np.float16)}
    assert state["features.28.weight"].shape == (512, 512, 3, 3)

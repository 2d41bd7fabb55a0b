"""Convolutions: gradients that are added, and whose operator is used; native/ has the numbers."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit import ops
from detkit.errors import ConfigError
from detkit.ops import backend
from support import conv_oracles as oracles
from support.blocks import FunctionBlock
from support.conv_oracles import draw
from support.graphs import ops_of

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("built_library")]


@pytest.fixture(autouse=True)
def own_convolutions():
    """detkit's operators, however the process was started."""
    with pytest.MonkeyPatch.context() as patch, backend.using("native"):
        patch.delenv(backend.CONVOLUTIONS_VARIABLE, raising=False)
        yield


def arguments(filters, **changes):
    return {"kernel": (3, 3), "pad": (1, 1), "num_filter": filters, **changes}


# --- Gradients that are added ---------------------------------------------------------------------


def one(F, x, weight, bias):
    return ops.convolution(F, x, weight, bias, relu=True, **arguments(4))


def several(F, x, weight, bias):
    """Inputs that two convolutions read, and results that three do."""
    first = one(F, x, weight, bias) - one(F, x, weight * 2, bias)
    x, weight = F.sin(x), F.sin(weight)
    return first + sum(one(F, x, weight, bias * scale) for scale in (1, 2, 3))


def many(F, x, weight, bias):
    """More readers than MXNet adds up apart unless it is told to."""
    x, weight, bias = F.sin(x), F.sin(weight), F.sin(bias)
    return sum(one(F, x, weight, bias) * scale for scale in range(1, 12))


def all_kinds(F, x, weight, bias):
    """Convolutions of all kinds, one of them with a sum, of arrays that others read, too."""
    narrow = F.slice_axis(weight, axis=0, begin=0, end=3)
    own = {"kernel": (3, 3), "pad": (1, 1), "num_filter": 3, "num_group": 3}
    each = F.slice_axis(narrow, axis=1, begin=0, end=1)
    out = ops.convolution(F, x, each, None, relu=True, most=1.0, **own)
    kernel = F.slice(weight, begin=(0, 0, 0, 0), end=(4, 3, 1, 1))
    wide = one(F, x, weight, bias)
    point = {"kernel": (1, 1), "num_filter": 4}
    return ops.convolution(F, out, kernel, bias, relu=True, most=3.0, residual=wide, **point) - wide


@pytest.mark.parametrize("function", [one, several, many, all_kinds])
@pytest.mark.parametrize("request_", ["write", "add"])
@pytest.mark.parametrize(
    "hybridized", [None, {}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}]
)
def test_gradients_are_added_where_they_should_be(function, request_, hybridized):
    arrays = draw(0, 2, 3, 4, 9, 10)[:3]
    found = []
    for direct in (False, True):
        inputs = [mx.nd.array(array) for array in arrays]
        for array in inputs:
            array.attach_grad(request_)
        block = FunctionBlock(function)
        block.hybridize(hybridized is not None, **(hybridized or {}))
        for _ in range(2):
            with autograd.record(), backend.using("native", direct=direct):
                out = block(*inputs)
            out.backward()
        found.append([array.grad.asnumpy() for array in inputs])
    for added, expected in zip(*found):
        np.testing.assert_allclose(added, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_gradients_that_nobody_wants_change_no_other(trained):
    data, weights, bias, grad_out = draw(0, 1, 3, 4, 9, 10)
    found = []
    for requests in (["write"] * 3, ["write" if n == trained else "null" for n in range(3)]):
        arrays = [mx.nd.array(array) for array in (data, weights, bias)]
        for array, request in zip(arrays, requests):
            array.attach_grad(request)
        with autograd.record():
            out = one(mx.nd, *arrays)
        out.backward(mx.nd.array(grad_out))
        found.append(arrays[trained].grad.asnumpy())
    np.testing.assert_array_equal(*found)


# --- Which operator is used -----------------------------------------------------------------------


def names_of(bias=True, relu=True, **changes):
    """The operators of a convolution as a graph."""
    names = ("x", "weight", "bias")[: 2 + bias]
    given = arguments(4, **changes)
    given = {name: value for name, value in given.items() if value is not ...}
    symbol = ops.convolution(mx.sym, *map(mx.sym.var, names), relu=relu, name="conv", **given)
    return [name for name in ops_of(symbol) if name != "_copy"]


DIRECT = ["Convolution", "Activation"]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_3x3_convolutions_are_detkits(bias, relu):
    assert names_of(bias, relu) == ["detkit_conv3x3"]
    assert names_of(bias, relu, stride=(1, 1), dilate=(1, 1), num_group=1, layout="NCHW") == [
        "detkit_conv3x3"
    ]
    with backend.using("native", direct=True):
        assert names_of(bias, relu) == DIRECT[: 1 + relu]


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (1, 1)},  # with a padding of 1
        {"kernel": (5, 5)},
        {"kernel": (3, 1)},
        {"kernel": (3,), "pad": (1,)},
        {"pad": (0, 0)},
        {"pad": ...},  # MXNet's default is no padding
        {"pad": (2, 2)},
        {"stride": (2, 2)},
        {"dilate": (2, 2)},
        {"num_group": 2},
        {"layout": "NHWC"},
        {"dtype": "float64"},
        {"dtype": np.float16},
    ],
)
def test_all_others_are_mxnets(changes):
    assert names_of(**changes) == DIRECT


def test_mxnets_operators_and_a_gpu_have_mxnets_convolution(monkeypatch):
    with backend.using("mxnet"):
        assert names_of() == DIRECT
    with monkeypatch.context() as patch:
        patch.setattr(backend, "has_cuda", lambda path: True)
        assert backend.choose("native", on_gpu=True).name == "native"
        assert names_of() == DIRECT
        backend.choose("native")
    assert names_of() == ["detkit_conv3x3"]


def test_arrays_of_another_type_have_mxnets_convolution():
    data, weights, bias, _ = draw(0, 1, 3, 4, 5, 6)
    arrays = [mx.nd.array(array, dtype="float64") for array in (data, weights, bias)]
    out = ops.convolution(mx.nd, *arrays, **arguments(4))
    assert out.dtype == np.float64
    np.testing.assert_allclose(out.asnumpy(), oracles.conv3x3(data, weights, bias), rtol=1e-12)


@pytest.mark.parametrize(("value", "expected"), [("direct", DIRECT), ("own", None), ("", None)])
def test_the_environment_chooses(monkeypatch, value, expected):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, value)
    assert names_of() == (expected or ["detkit_conv3x3"])


def test_another_value_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "Own")
    with pytest.raises(ConfigError) as caught:
        names_of()
    for part in ("DETKIT_CONV", "'Own'", "own", "direct"):
        assert part in str(caught.value)


# --- What follows a convolution -------------------------------------------------------------------


def with_gradient(function, array, gradient, operators):
    """The result of a function of F and an array, and the gradient of the array."""
    x = mx.nd.array(array)
    x.attach_grad()
    with autograd.record(), backend.using(operators):
        out = function(mx.nd, x)
    out.backward(mx.nd.array(gradient(out.shape)))
    return out.asnumpy(), x.grad.asnumpy()


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (1, 2, 7, 9), (1, 1, 5, 64), (1, 3, 8, 131)])
@pytest.mark.parametrize("operators", ["native", "mxnet"])
def test_the_maximum_of_2x2_cells(shape, operators):
    array = np.random.default_rng(0).integers(-3, 4, shape).astype(np.float32)  # many are equal
    batch, channels, height, width = shape
    cells = array[:, :, : height // 2 * 2, : width // 2 * 2]
    cells = cells.reshape(batch, channels, height // 2, 2, width // 2, 2)
    cells = cells.swapaxes(3, 4).reshape(batch, channels, height // 2, width // 2, 4)
    gradient = np.random.default_rng(1).normal(size=cells.shape[:-1]).astype(np.float32)
    found, passed = with_gradient(ops.max_pool, array, lambda _: gradient, operators)
    np.testing.assert_array_equal(found, cells.max(axis=-1))
    expected = np.zeros_like(array)
    for place in np.ndindex(*gradient.shape):
        row, column = divmod(int(cells[place].argmax()), 2)
        expected[place[0], place[1], 2 * place[2] + row, 2 * place[3] + column] = gradient[place]
    if operators == "native":  # MXNet may choose another one of equal cells
        np.testing.assert_array_equal(passed, expected)
    np.testing.assert_allclose(passed.sum(), expected.sum(), rtol=1e-4)


def test_a_nan_is_the_maximum():
    array = np.zeros((1, 1, 2, 34), np.float32)
    array[0, 0, 0, ::4], array[0, 0, 1, 3::4] = np.nan, np.nan  # first and last of their cells
    found, passed = with_gradient(ops.max_pool, array, np.ones, "native")
    assert np.isnan(found).all()
    np.testing.assert_array_equal(passed, np.isnan(array).astype(np.float32))


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40_000])
@pytest.mark.parametrize("operators", ["native", "mxnet"])
def test_a_relu_with_an_upper_bound(count, operators):
    array = np.random.default_rng(0).uniform(-9, 9, count).astype(np.float32)
    found, passed = with_gradient(lambda F, x: ops.rectify(F, x, 6), array, np.ones, operators)
    np.testing.assert_array_equal(found, np.clip(array, 0, 6))
    np.testing.assert_array_equal(passed, (array > 0) & (array < 6))


def test_a_rectified_nan_stays_one():
    found, _ = with_gradient(lambda F, x: ops.rectify(F, x, 6), [np.nan, np.inf], np.ones, "native")
    np.testing.assert_array_equal(found, [np.nan, 6])


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 4, 6, 8), (3, 4, 5, 7), (5, 70, 10, 139)])
@pytest.mark.parametrize("operators", ["native", "mxnet"])
def test_repeated_cells(sizes, operators):
    height, width, rows, columns = sizes
    array = np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32)
    gradient = np.random.default_rng(1).normal(size=(2, 3, rows, columns)).astype(np.float32)
    fine = mx.nd.zeros((1, 2, rows, columns))
    found, passed = with_gradient(
        lambda F, x: ops.upsample(F, x, fine), array, lambda _: gradient, operators
    )
    repeated = array.repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_array_equal(found, repeated[:, :, :rows, :columns])
    whole = np.zeros((2, 3, 2 * height, 2 * width))
    whole[:, :, :rows, :columns] = gradient
    expected = whole.reshape(2, 3, height, 2, width, 2).sum(axis=(3, 5))
    np.testing.assert_allclose(passed, expected, rtol=1e-5, atol=1e-5)


def test_the_map_whose_size_is_taken_has_no_gradient():
    coarse, fine = mx.nd.ones((1, 2, 2, 2)), mx.nd.ones((1, 2, 3, 4))
    fine.attach_grad()
    with autograd.record():
        out = ops.upsample(mx.nd, coarse, fine) + fine
    out.backward()
    np.testing.assert_array_equal(fine.grad.asnumpy(), np.ones((1, 2, 3, 4)))


@pytest.mark.parametrize("changes", [{"num_group": 0}, {"stride": (1, 0)}])
@pytest.mark.parametrize("operators", ["native", "mxnet"])
def test_what_mxnet_would_divide_by_is_refused(changes, operators):
    arrays = [mx.nd.array(array) for array in draw(0, 1, 3, 4, 5, 6)[:3]]
    with backend.using(operators), pytest.raises(ValueError) as caught:
        ops.convolution(mx.nd, *arrays, **arguments(4, **changes))
    for part in ("convolution", next(iter(changes)), "above 0", "found 0"):
        assert part in str(caught.value)


@pytest.mark.parametrize("kernel", [1, 3])
def test_weights_without_a_channel_are_refused(kernel):
    x, weight = mx.nd.ones((1, 4, 5, 5)), mx.nd.array(np.ones((8, 0, kernel, kernel)))
    window = {"kernel": (kernel, kernel), "pad": (kernel // 2, kernel // 2), "num_filter": 8}
    with pytest.raises(mx.MXNetError, match="weights are"):
        ops.convolution(mx.nd, x, weight, **window).wait_to_read()


def test_no_bound_and_no_cell_are_refused():
    with pytest.raises(mx.MXNetError, match="out of range"):
        ops.rectify(mx.nd, mx.nd.ones((2,)), 0).wait_to_read()
    with pytest.raises(mx.MXNetError, match="H, W > 1"):
        ops.max_pool(mx.nd, mx.nd.ones((1, 1, 1, 4))).wait_to_read()
    with pytest.raises(mx.MXNetError, match="at most twice"):
        ops.upsample(mx.nd, mx.nd.ones((1, 1, 2, 2)), mx.nd.ones((1, 1, 5, 4))).wait_to_read()


@pytest.mark.parametrize(
    "operators, direct, used",
    [("native", False, True), ("native", True, False), ("mxnet", False, False)],
)
def test_whose_operators_follow(operators, direct, used):
    x = mx.sym.var("x")
    with backend.using(operators, direct=direct):
        names = ops_of(ops.max_pool(mx.sym, ops.rectify(mx.sym, x, 6)))
    assert ({"detkit_max_pool", "detkit_rectify"} <= set(names)) == used
    assert ("Pooling" in names) != used


def test_lists_are_arguments_like_tuples():
    arrays = [mx.sym.var(name) for name in ("x", "weight")]
    lists = {key: list(value) for key, value in arguments(4).items() if key != "num_filter"}
    names = ops_of(ops.convolution(mx.sym, *arrays, num_filter=4, **lists))
    assert "detkit_conv3x3" in names

"""The operators after a convolution: bounded ReLU, pooling of 2x2 cells, upsampling."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit import ops
from detkit.ops import backend
from support.graphs import ops_of

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("own_convolutions")]


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

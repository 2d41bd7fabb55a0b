"""Rows of padded arrays, and how the native operators are bound to MXNet."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mxnet import autograd

from detkit import ops
from detkit.ops import backend
from support.environment import BACKENDS

pytestmark = pytest.mark.processor


@pytest.mark.parametrize("operators", BACKENDS)
def test_nms_at_exactly_the_threshold_keeps(operators):
    boxes = mx.nd.array([[[0, 0, 2, 1], [0, 0, 1, 1]]])  # IoU 1 / 2
    scores = mx.nd.array([[0.9, 0.8]])
    with backend.using(operators):
        assert (ops.nms(mx.nd, boxes, scores, 0.5)[1].asnumpy() > 0).all()
        kept = ops.nms(mx.nd, boxes, scores, 0.49)[1].asnumpy()[0]
    assert (kept > 0).tolist() == [True, False]


POOLING = {
    "align": lambda *pooled: ops.roi_align(mx.nd, *pooled, 2, 8, 2, True),
    "pool": lambda *pooled: ops.roi_pool(mx.nd, *pooled, 2, 8),
    "precise": lambda *pooled: ops.prroi_pool(mx.nd, *pooled, 2, 8),
    "crop": lambda *pooled: ops.crop_pool(mx.nd, *pooled, 2, 8),
}


@pytest.mark.parametrize("operators", BACKENDS)
@pytest.mark.parametrize("name", POOLING)
def test_a_gradient_is_added_where_it_should_be(operators, name):
    rng = np.random.default_rng(0)
    features = mx.nd.array(rng.normal(0, 1, (1, 2, 5, 6)))
    rois = mx.nd.array([[[3, 4, 30, 25], [0, 0, 40, 40]]])
    grads = []
    for request, turns in (("write", 1), ("add", 2)):
        features.attach_grad(request)
        for _ in range(turns):
            with autograd.record(), backend.using(operators):
                pooled = POOLING[name](features, rois)
            pooled.backward()
        grads.append(features.grad.asnumpy())
    np.testing.assert_allclose(grads[1], 2 * grads[0], rtol=1e-6)


def arrays_of(*shapes):
    return [mx.nd.zeros(shape) for shape in shapes]


@pytest.mark.usefixtures("built_library")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.nms(mx.nd, *arrays_of((1, 3, 5), (1, 3)), 0.5), r"boxes are \(B, N, 4\)"),
        (lambda: ops.nms(mx.nd, *arrays_of((1, 3, 4), (1, 2)), 0.5), r"scores .* are \(B, N\)"),
        (
            lambda: ops.nms(mx.nd, mx.nd.zeros((1, 3, 4)), mx.nd.zeros((1, 3), dtype="int32"), 0.5),
            "detkit_nms, types: input 1 has to be float32 and is int32",
        ),
        (
            lambda: ops.nms(mx.nd, *arrays_of((1, 3, 4), (1, 3)), -1.0).pop().wait_to_read(),
            "detkit_nms, forward: an argument is out of range",
        ),
        (
            lambda: mx.nd.detkit_match(*arrays_of((1, 3, 4), (1, 2, 4), (1, 2))),
            "detkit_match, arguments: the argument selective is missing",
        ),
    ],
)
def test_a_wrong_call_is_explained(call, message):
    with backend.using("native"), pytest.raises(mx.MXNetError, match=message):
        call()


@given(
    arrays("float32", (2, 3, 4), elements=st.floats(-9, 9, width=32)),
    arrays("int32", (2, 5), elements=st.integers(0, 2)),
)
def test_gather_rows(data, index):
    found = ops.gather_rows(mx.nd, mx.nd.array(data), mx.nd.array(index)).asnumpy()
    assert found.tolist() == [array[i].tolist() for array, i in zip(data, index)]


def test_finite():
    data = np.array([1, np.nan, -np.inf, 3.4e38, np.inf, -2], "float32")
    found = ops.finite(mx.nd, mx.nd.array(data), -7).asnumpy()
    np.testing.assert_array_equal(found, np.array([1, -7, -7, 3.4e38, -7, -2], "float32"))


@pytest.mark.parametrize("sizes", [[(3, 4), (1, 1)], [(2, 3), (0, 0)]])
def test_valid_area(sizes):
    found = ops.valid_area(mx.nd, mx.nd.ones((2, 5, 3, 4)), mx.nd.array(sizes)).asnumpy()
    expected = np.zeros((2, 1, 3, 4))
    for row, (h, w) in enumerate(sizes):
        expected[row, 0, :h, :w] = 1
    np.testing.assert_array_equal(found, expected)

"""Rows of padded arrays, values that are not finite, and the valid area of images."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detkit import ops

pytestmark = pytest.mark.processor


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

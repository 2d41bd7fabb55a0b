"""Convolutions of each channel: detkit's against float64, and which convolutions they are."""

import ctypes
import math

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import autograd

from detkit import ops
from support.conv_oracles import output_and_gradients
from support.graphs import ops_of
from support.kernel_cases import generators

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("own_convolutions")]
SIDES = (1, 2, 3, 7, 15, 16, 17, 33, 50, 70)


def arguments(channels, stride=1, **changes):
    window = {"kernel": (3, 3), "stride": (stride, stride), "pad": (1, 1)}
    return {**window, "num_filter": channels, "num_group": channels, **changes}


def draw(rng, images, channels, height, width, stride):
    """data, weights, bias and the gradient of the output, as float32."""
    out = images, channels, -(-height // stride), -(-width // stride)
    shapes = (images, channels, height, width), (channels, 1, 3, 3), (channels,), out
    return [rng.normal(0, 1, shape).astype("float32") for shape in shapes]


def run(arrays, stride, has_bias=True, most=None):
    """The output of arrays as ``draw`` makes them, and their gradients."""
    *inputs, grad_out = map(mx.nd.array, arrays)
    inputs = inputs[: 2 + has_bias]
    for array in inputs:
        array.attach_grad()
    with autograd.record():
        bound = {"relu": most is not None, "most": math.inf if most is None else most}
        out = ops.convolution(mx.nd, *inputs, **bound, **arguments(len(arrays[1]), stride))
    out.backward(grad_out)
    return out.asnumpy(), [array.grad.asnumpy() for array in inputs]


def taps(shape, stride):
    """Yields (y, x, the part of maps with a border of one pixel that the tap y, x reads)."""
    height, width = shape[2:]
    for y in range(3):
        for x in range(3):
            yield y, x, np.s_[..., y : y + height : stride, x : x + width : stride]


def forward(data, weights, bias, stride):
    """The output before the ReLU, in float64."""
    padded = np.pad(data.astype("float64"), [(0, 0), (0, 0), (1, 1), (1, 1)])
    reads = taps(data.shape, stride)
    return bias[:, None, None] + sum(
        padded[part] * weights[:, 0, y, x, None, None] for y, x, part in reads
    )


def backward(data, weights, grad_out, stride):
    """The gradients of data, weights and bias without a ReLU, in float64."""
    padded = np.pad(data.astype("float64"), [(0, 0), (0, 0), (1, 1), (1, 1)])
    grad_padded, grad_weights = np.zeros(padded.shape), np.zeros(weights.shape)
    for y, x, part in taps(data.shape, stride):
        grad_padded[part] += grad_out * weights[:, 0, y, x, None, None].astype("float64")
        grad_weights[:, 0, y, x] = (padded[part] * grad_out).sum(axis=(0, 2, 3))
    return grad_padded[..., 1:-1, 1:-1], grad_weights, grad_out.sum(axis=(0, 2, 3), dtype="float64")


def assert_near(found, expected, terms):
    """Equal up to the rounding of sums of so many terms."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6 * (9 + math.sqrt(terms)))


@st.composite
def convolutions(draw_one):
    """(arrays, stride)."""
    rng, stride = draw_one(generators()), draw_one(st.sampled_from([1, 2]))
    height, width = draw_one(st.sampled_from(SIDES)), draw_one(st.sampled_from(SIDES))
    images, channels = draw_one(st.integers(1, 3)), draw_one(st.sampled_from([2, 3, 17, 40]))
    return draw(rng, images, channels, height, width, stride), stride


@given(convolutions(), st.booleans(), st.sampled_from([None, 1.5, math.inf]))
@settings(max_examples=60)
def test_values_and_gradients(case, has_bias, most):
    (data, weights, bias, grad_out), stride = case
    out, grads = run(*case, has_bias, most)
    expected = forward(data, weights, bias * has_bias, stride)
    if most is not None:
        expected = np.clip(expected, 0, most)
        grad_out = np.where((out > 0) & (out < most), grad_out, 0)
    assert_near(out, expected, 9)
    for found, expected in zip(grads, backward(data, weights, grad_out, stride)):
        assert_near(found, expected, out.size)


class Depthwise(ctypes.Structure):
    """DetkitDepthwise of kernels_conv.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "channels", "height", "width")),
        *((name, ctypes.c_int) for name in ("stride", "relu")),
        ("most", ctypes.c_float),
    ]


def kernels_of(path, threads, arrays, stride):
    """The output and all gradients by the library itself, on so many of OpenMP's threads."""
    *inputs, grad_out = arrays
    conv = Depthwise(*inputs[0].shape, stride, 1, 1.5)
    return output_and_gradients(path, threads, "depthwise", conv, inputs, grad_out)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(3, 5, 130, 70), (2, 90, 50, 50), (1, 2, 1, 1)])
def test_the_number_of_threads_changes_no_bit(built_library, shape, stride):
    arrays = draw(np.random.default_rng(0), *shape, stride)
    try:
        expected = kernels_of(built_library, 1, arrays, stride)
        for threads in (2, 3):
            for one, other in zip(kernels_of(built_library, threads, arrays, stride), expected):
                np.testing.assert_array_equal(one, other)
    finally:
        ctypes.CDLL(str(built_library)).omp_set_num_threads(1)
    assert_near(expected[0], np.clip(forward(*arrays[:3], stride), 0, 1.5), 9)


def test_no_images_give_gradients_of_zero(built_library):
    arrays = draw(np.random.default_rng(0), 0, 3, 4, 6, 1)
    out, grad_data, *grads = kernels_of(built_library, 1, arrays, 1)
    assert out.size == grad_data.size == 0
    assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize("most", [None, 6.0])
def test_a_nan_reaches_the_outputs_around_it(most):
    arrays = draw(np.random.default_rng(0), 2, 3, 6, 7, 1)
    arrays[0][1, 2, 4, 6] = np.nan
    out, _ = run(arrays, 1, most=most)
    expected = np.zeros(out.shape, bool)
    expected[1, 2, 3:, 5:] = True
    np.testing.assert_array_equal(np.isnan(out), expected)


@pytest.mark.parametrize(
    "changes, filters_of_a_group, op",
    [
        ({}, 1, "detkit_depthwise"),
        ({"stride": 2}, 1, "detkit_depthwise"),
        ({"stride": 3}, 1, "Convolution"),
        ({"dilate": (2, 2), "pad": (2, 2)}, 1, "Convolution"),
        ({"num_filter": 16}, 1, "Convolution"),
        ({}, 2, "Convolution"),
        ({}, 0, "Convolution"),  # not known
    ],
)
def test_which_convolutions_are_detkits(changes, filters_of_a_group, op):
    x, weight = mx.sym.var("x"), mx.sym.var("weight", shape=(8, filters_of_a_group, 3, 3))
    assert op in ops_of(ops.convolution(mx.sym, x, weight, **arguments(8, **changes)))

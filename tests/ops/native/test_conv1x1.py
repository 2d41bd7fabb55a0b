"""1x1 convolutions: detkit's against float64, with bias, residual and bounded ReLU."""

import ctypes
import math

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import autograd
from mxnet.gluon import nn

from detkit import ops
from detkit.models.layers import Conv2D, FoldingSequential
from detkit.ops import backend
from support.conv_oracles import has_bfloat16, output_and_gradients, rounded
from support.graphs import ops_of
from support.kernel_cases import generators

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("own_convolutions")]
CHANNELS = (1, 2, 3, 7, 8, 9, 16, 17, 33, 64, 130, 600)
SIDES = (1, 2, 3, 7, 16, 17, 33, 50)


def arguments(filters, stride=1, **changes):
    window = {"kernel": (1, 1), "stride": (stride, stride), "pad": (0, 0)}
    return {**window, "num_filter": filters, **changes}


def draw(rng, images, channels, filters, height, width, stride):
    """data, weights, bias, the residual and the gradient of the output, as float32."""
    out = images, filters, -(-height // stride), -(-width // stride)
    shapes = (images, channels, height, width), (filters, channels, 1, 1), (filters,), out, out
    return [rng.normal(0, 1, shape).astype("float32") for shape in shapes]


def run(arrays, stride, has_bias=True, has_residual=True, most=None, bfloat16=False):
    """The output of arrays as ``draw`` makes them, and {name: gradient}."""
    *inputs, grad_out = map(mx.nd.array, arrays)
    named = dict(zip(("data", "weights", "bias", "residual"), inputs))
    if not has_bias:
        del named["bias"]
    if not has_residual:
        del named["residual"]
    for array in named.values():
        array.attach_grad()
    with autograd.record():
        out = ops.convolution(
            mx.nd,
            named["data"],
            named["weights"],
            named.get("bias"),
            relu=most is not None,
            most=math.inf if most is None else most,
            residual=named.get("residual"),
            bfloat16=bfloat16,
            **arguments(len(arrays[1]), stride),
        )
    out.backward(grad_out)
    return out.asnumpy(), {name: array.grad.asnumpy() for name, array in named.items()}


def exact(arrays, stride, has_bias, has_residual):
    """The output before the ReLU, in float64, and the sum of its magnitudes."""
    data, weights, bias, residual = (array.astype("float64") for array in arrays[:4])
    outs = []
    for of in (np.asarray, np.abs):
        out = np.einsum("oi,bihw->bohw", of(weights[:, :, 0, 0]), of(data[..., ::stride, ::stride]))
        out += of(bias)[:, None, None] * has_bias + of(residual) * has_residual
        outs.append(out)
    return outs


def assert_near(found, expected, magnitude):
    """Equal up to the rounding of sums of that magnitude."""
    assert found.shape == expected.shape
    if found.size:
        assert np.abs(found - expected).max() <= 1e-5 * (1 + np.max(magnitude))


@st.composite
def convolutions(draw_one):
    """(arrays, stride)."""
    rng, stride = draw_one(generators()), draw_one(st.sampled_from([1, 2]))
    channels, filters = draw_one(st.sampled_from(CHANNELS)), draw_one(st.sampled_from(CHANNELS))
    height, width = draw_one(st.sampled_from(SIDES)), draw_one(st.sampled_from(SIDES))
    images = draw_one(st.integers(1, 3))
    return draw(rng, images, channels, filters, height, width, stride), stride


@given(convolutions(), st.booleans(), st.booleans(), st.sampled_from([None, 1.5, math.inf]))
@settings(max_examples=60)
def test_values_and_gradients(case, has_bias, has_residual, most):
    (data, weights, *_, grad_out), stride = case
    out, grads = run(*case, has_bias, has_residual, most)
    expected, magnitude = exact(*case, has_bias, has_residual)
    if most is not None:
        expected = np.clip(expected, 0, most)
        grad_out = np.where((out > 0) & (out < most), grad_out, 0)
    assert_near(out, expected, magnitude)
    kernel, pixels = weights[:, :, 0, 0].astype("float64"), data[..., ::stride, ::stride]
    of_data = np.zeros(data.shape)
    of_data[..., ::stride, ::stride] = np.einsum("oi,bohw->bihw", kernel, grad_out)
    assert_near(grads["data"], of_data, len(weights))
    product = np.einsum("bohw,bihw->oi", grad_out.astype("float64"), pixels)
    assert_near(grads["weights"][:, :, 0, 0], product, np.prod(out.shape) / len(weights))
    if has_bias:
        assert_near(grads["bias"], grad_out.sum(axis=(0, 2, 3), dtype="float64"), out.size)
    if has_residual:
        np.testing.assert_array_equal(grads["residual"], grad_out)


@given(convolutions())
@settings(max_examples=30)
def test_products_of_bfloat16(built_library, case):
    arrays, stride = case
    out, grads = run(*case, bfloat16=True)
    single = run(*case)
    np.testing.assert_array_equal(grads["weights"], single[1]["weights"])
    if not has_bfloat16(built_library):
        np.testing.assert_array_equal(out, single[0])
        return
    factors = [rounded(array) for array in arrays]
    expected, magnitude = exact([*factors[:2], *arrays[2:4]], stride, True, True)
    assert_near(out, expected, magnitude)
    of_data = np.einsum("oi,bohw->bihw", factors[1][:, :, 0, 0].astype("float64"), factors[4])
    assert_near(grads["data"][..., ::stride, ::stride], of_data, len(arrays[1]))


@pytest.mark.parametrize("images", [1, 15, 49, 340])
@pytest.mark.parametrize("channels, filters", [(1, 1), (515, 9), (1030, 70)])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_maps_of_one_pixel_are_rows_of_a_matrix(built_library, images, channels, filters, bfloat16):
    arrays = draw(np.random.default_rng(0), images, channels, filters, 1, 1, 1)
    out, _ = run(arrays, 1, most=math.inf, bfloat16=bfloat16)
    if bfloat16 and has_bfloat16(built_library):
        arrays[:2] = map(rounded, arrays[:2])
    expected, magnitude = exact(arrays, 1, True, True)
    assert_near(out, np.maximum(expected, 0), magnitude)


@pytest.mark.parametrize("stride", [1, 2])
def test_an_image_gives_the_same_bits_alone(stride):
    arrays = draw(np.random.default_rng(0), 3, 40, 70, 19, 23, stride)
    out, grads = run(arrays, stride, most=6)
    for image in range(3):
        one = slice(image, image + 1)
        alone = [array if number in (1, 2) else array[one] for number, array in enumerate(arrays)]
        alone_out, alone_grads = run(alone, stride, most=6)
        np.testing.assert_array_equal(alone_out, out[one])
        np.testing.assert_array_equal(alone_grads["data"], grads["data"][one])


class Conv1x1(ctypes.Structure):
    """DetkitConv1x1 of kernels_conv.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "in_channels", "out_channels")),
        *((name, ctypes.c_int) for name in ("height", "width", "stride", "relu")),
        ("most", ctypes.c_float),
        ("bfloat16", ctypes.c_int),
    ]


def kernels_of(path, threads, arrays, stride, bfloat16):
    """The output and all gradients by the library itself, on so many of OpenMP's threads."""
    *inputs, grad_out = arrays
    (images, channels, height, width), filters = inputs[0].shape, len(inputs[1])
    conv = Conv1x1(images, channels, filters, height, width, stride, 1, 1.5, bfloat16)
    return output_and_gradients(path, threads, "conv1x1", conv, inputs, grad_out)


@pytest.mark.parametrize("stride, bfloat16", [(1, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize(
    "shape",
    [(3, 40, 200, 13, 70), (1, 600, 9, 40, 41), (2, 9, 300, 5, 5), (1, 1, 1, 1, 1)]
    + [(90, 700, 50, 1, 1)],
)
def test_the_number_of_threads_changes_no_bit(built_library, shape, stride, bfloat16):
    arrays = draw(np.random.default_rng(0), *shape, stride)
    try:
        expected = kernels_of(built_library, 1, arrays, stride, bfloat16)
        for threads in (2, 3):
            found = kernels_of(built_library, threads, arrays, stride, bfloat16)
            for one, other in zip(found, expected):
                np.testing.assert_array_equal(one, other)
    finally:
        ctypes.CDLL(str(built_library)).omp_set_num_threads(1)
    if bfloat16 and has_bfloat16(built_library):
        arrays[:2] = map(rounded, arrays[:2])
    before_relu, magnitude = exact(arrays, stride, True, True)
    assert_near(expected[0], np.clip(before_relu, 0, 1.5), magnitude)


def test_maps_larger_than_caches_are_written_the_same():
    data, weights, *others = map(
        mx.nd.array, draw(np.random.default_rng(0), 3, 2, 65, 211, 253, 1)[:4]
    )
    options = {
        "stride": 1,
        "residual": True,
        "no_bias": False,
        "relu": True,
        "most": 1.0,
        "bfloat16": False,
    }
    out = mx.nd.detkit_conv1x1(data, weights, *others, **options).asnumpy()
    assert out.size > 2**23 > out[0].size
    for image in range(3):
        one = slice(image, image + 1)
        alone = data[one], weights, others[0], others[1][one]
        found = mx.nd.detkit_conv1x1(*alone, **options)
        np.testing.assert_array_equal(found.asnumpy()[0], out[image])


def test_no_images_give_gradients_of_zero(built_library):
    arrays = draw(np.random.default_rng(0), 0, 3, 5, 4, 6, 1)
    out, grad_data, grad_weights, grad_bias, _ = kernels_of(built_library, 1, arrays, 1, 0)
    assert out.size == grad_data.size == 0
    assert not grad_weights.any() and not grad_bias.any()


@pytest.mark.parametrize("most", [None, 6.0, math.inf])
def test_a_nan_stays_where_it_is(most):
    arrays = draw(np.random.default_rng(0), 2, 5, 9, 6, 7, 1)
    arrays[0][1, 3, 4, 5] = np.nan
    out, _ = run(arrays, 1, most=most)
    expected = np.zeros(out.shape, bool)
    expected[1, :, 4, 5] = True
    np.testing.assert_array_equal(np.isnan(out), expected)


def chosen(**changes):
    """The operators of a convolution with these arguments of MXNet's Convolution."""
    x, weight = mx.sym.var("x"), mx.sym.var("weight")
    graph = ops.convolution(mx.sym, x, weight, relu=True, **arguments(8, **changes))
    return [name for name in ops_of(graph) if name != "_copy"]


def test_which_convolutions_are_detkits():
    assert chosen() == chosen(stride=2) == ["detkit_conv1x1"]
    for changes in ({"stride": 3}, {"pad": (1, 1)}, {"num_group": 2}, {"kernel": (1, 3)}):
        assert chosen(**changes) == ["Convolution", "Activation"]
    with backend.using("native", direct=True):
        assert chosen() == ["Convolution", "Activation"]


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_layer_without_in_channels_finds_them(hybrid):
    layers = FoldingSequential()
    layers.add(Conv2D(8, 1), nn.Activation("relu"), Conv2D(6, 1))
    layers.initialize()
    if hybrid:
        layers.hybridize()
    for _ in range(2):
        assert layers(mx.nd.ones((2, 5, 4, 3))).shape == (2, 6, 4, 3)
    assert layers[0].weight.shape == (8, 5, 1, 1)


@pytest.mark.parametrize(
    "shapes, message",
    [
        ({"x": (1, 4, 5, 5), "weight": (8, 3, 1, 1), "residual": (1, 8, 5, 5)}, "weights are"),
        ({"x": (1, 3, 5, 5), "weight": (8, 3, 1, 1), "residual": (1, 8, 5, 4)}, "residual has"),
    ],
)
def test_shapes_that_do_not_fit(shapes, message):
    x, weight, residual = map(mx.sym.var, shapes)
    graph = ops.convolution(mx.sym, x, weight, residual=residual, **arguments(8))
    with pytest.raises(mx.MXNetError, match=message):
        graph.infer_shape(**shapes)

"""The kernels of 3x3 convolutions: their errors, their bits, and NaN."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import detkit  # noqa: F401  # isort: skip  before MXNet, in the processes of a pool
import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import autograd

from support import conv_oracles as oracles
from support.conv_oracles import draw, rounded

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("built_library")]
EPSILON = np.finfo("float32").eps
CHANNELS = (1, 2, 3, 7, 16, 17, 33, 64, 65, 130, 256, 2048)
SIDES = (1, 2, 3, 4, 5, 8, 13, 17, 33, 67)
MOST_PRODUCTS = 2**27  # of an example


@st.composite
def shapes(draw_one):
    """images, channels, filters, height, width."""
    images = draw_one(st.integers(1, 3))
    channels, filters = (draw_one(st.sampled_from(CHANNELS)) for _ in range(2))
    height, width = (draw_one(st.sampled_from(SIDES)) for _ in range(2))
    while images * channels * filters * height * width * 9 > MOST_PRODUCTS:
        images, height, width = 1, (height + 1) // 2, (width + 1) // 2
    return images, channels, filters, height, width


def run(grad_out, arrays, relu=False, most=np.inf, bfloat16=False):
    """The output of arrays (data, weights and perhaps bias), and their gradients."""
    arrays = [mx.nd.array(array) for array in arrays]
    for array in arrays:
        array.attach_grad()
    with autograd.record():
        options = {"no_bias": len(arrays) == 2, "relu": relu, "most": most, "bfloat16": bfloat16}
        out = mx.nd.detkit_conv3x3(*arrays, **options)
    out.backward(mx.nd.array(grad_out))
    return out.asnumpy(), [array.grad.asnumpy() for array in arrays]


def assert_near(found, exact, scale):
    """scale: the largest sum that there could be of data as large as the largest of the array."""
    np.testing.assert_allclose(found, exact, rtol=0, atol=8 * EPSILON * scale)


def largest_sum(data, weights):
    """Of the magnitudes of an output, if all pixels of a channel were its largest one."""
    return (np.abs(data).max(axis=(0, 2, 3)) @ np.abs(weights).sum(axis=(2, 3)).T).max()


@given(shapes(), st.integers(0, 2**31), st.booleans(), st.sampled_from([None, np.inf, 0.5]))
@settings(max_examples=60)
def test_errors_are_a_few_of_the_last_bits(shape, seed, has_bias, most):
    data, weights, bias, grad_out = draw(seed, *shape)
    arrays = (data, weights, bias)[: 2 + has_bias]
    out, grads = run(grad_out, arrays, most is not None, most or np.inf)
    exact = oracles.conv3x3(*arrays)
    scale = largest_sum(data, weights) + np.abs(bias).max()
    assert_near(out, np.clip(exact, 0, most) if most else exact, scale)

    grad_out = grad_out * ((out > 0) & (out < most)) if most else grad_out
    exact = oracles.conv3x3_backward(data, weights, grad_out)
    of_bias = np.abs(grad_out).max() * data[:, 0].size
    scales = largest_sum(grad_out, weights.transpose(1, 0, 2, 3)), np.abs(data).max() * of_bias
    for found, expected, scale in zip(grads, exact, (*scales, of_bias)):
        assert_near(found, expected, scale)


@pytest.mark.parametrize("channels", [16, 64, 256])
def test_errors_are_few_times_those_of_a_plain_sum(channels):
    data, weights, _, grad_out = draw(0, 1, channels, 24, 14, 15)
    data = np.maximum(data, 0)
    found, _ = run(grad_out, (data, weights))
    exact, plain = oracles.conv3x3(data, weights), oracles.plain_sums(data, weights)
    error, expected = (np.sqrt(np.mean((each - exact) ** 2)) for each in (found, plain))
    assert 0 < error < 4 * expected


@pytest.mark.parametrize("channels", [1, 2, 3, 64, 255])
def test_products_of_bfloat16(built_library, channels):
    data, weights, bias, grad_out = draw(0, 2, channels, 24, 14, 15)
    data = np.maximum(data, 0)
    arrays = data, weights, bias
    (out, grads), single = (run(grad_out, arrays, bfloat16=each) for each in (True, False))
    np.testing.assert_array_equal(grads[1], single[1][1])  # the weights have float32's gradients
    if not oracles.has_bfloat16(built_library):
        np.testing.assert_array_equal(out, single[0])
        return
    turned = weights.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    for found, maps, taps in (
        (out - bias[:, None, None], data, weights),
        (grads[0], grad_out, turned),
    ):
        exact, direct = oracles.conv3x3(maps, taps), oracles.conv3x3(*map(rounded, (maps, taps)))
        error, expected = (np.sqrt(np.mean((each - exact) ** 2)) for each in (found, direct))
        assert 0 < error < 6 * expected


@pytest.mark.parametrize("relu", [False, True])
def test_a_relu_passes_the_gradients_of_positive_outputs(relu):
    data, weights, bias, grad_out = draw(0, 2, 3, 5, 9, 10)
    out, grads = run(np.ones_like(grad_out), (data, weights, bias), relu)
    assert (out.min() == 0) == relu
    counted = (out > 0) if relu else np.ones_like(out)
    assert grads[2].tolist() == counted.sum(axis=(0, 2, 3)).tolist()


def kernels_of(path, threads, relu, arrays, bfloat16=0):
    """The output, the gradients, and the bytes of the workspaces, on so many threads."""
    data, weights, bias, grad_out = arrays
    images, channels, height, width = data.shape
    conv = oracles.Conv3x3(images, channels, len(weights), height, width, relu, np.inf, bfloat16)
    kernels = oracles.Kernels(path, threads)
    out = kernels.forward(conv, data, weights, bias)
    grads = kernels.backward(conv, data, weights, out, grad_out)
    return [out, *grads], kernels.workspaces(conv)


@pytest.mark.parametrize("relu, bfloat16", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    "shape", [(3, 5, 7, 13, 70), (2, 40, 200, 9, 11), (1, 17, 130, 40, 41), (1, 1, 1, 1, 1)]
)
def test_the_number_of_threads_changes_no_bit(built_library, shape, relu, bfloat16):
    arrays = draw(0, *shape)
    try:
        expected, bytes_of_one = kernels_of(built_library, 1, relu, arrays, bfloat16)
        for threads in (2, 3):
            found, bytes_of_all = kernels_of(built_library, threads, relu, arrays, bfloat16)
            assert all(more > one for more, one in zip(bytes_of_all, bytes_of_one))
            for one, other in zip(found, expected):
                np.testing.assert_array_equal(one, other)
    finally:
        oracles.Kernels(built_library, 1)
    np.testing.assert_allclose(
        expected[0],
        np.maximum(oracles.conv3x3(*arrays[:3]), 0 if relu else -np.inf),
        rtol=0,
        atol=3.0 if bfloat16 else 1e-4,
    )


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(2, 5, 7, 13, 70), (1, 40, 70, 9, 11), (3, 3, 4, 2, 3)])
def test_a_pooling_after_the_convolution(shape, relu):
    data, weights, bias, _ = map(mx.nd.array, draw(0, *shape))
    data[0, 0, 0, 0], data[-1, -1, -1, -1] = np.nan, -np.inf
    options = {"no_bias": False, "relu": relu, "most": 2.0, "bfloat16": False}
    found = mx.nd.detkit_conv3x3(data, weights, bias, pools=True, **options)
    expected = mx.nd.detkit_max_pool(mx.nd.detkit_conv3x3(data, weights, bias, **options))
    np.testing.assert_array_equal(found.asnumpy(), expected.asnumpy())


@pytest.mark.parametrize("what", ["gradient", "rows"])
def test_poolings_that_cannot_be(what):
    data, weights, bias, _ = map(mx.nd.array, draw(0, 1, 2, 3, 4 if what == "gradient" else 1, 6))
    data.attach_grad()
    options = {"no_bias": False, "relu": False, "most": 1.0, "bfloat16": False, "pools": True}
    with pytest.raises(mx.MXNetError, match="detkit_conv3x3"), autograd.record():
        mx.nd.detkit_conv3x3(data, weights, bias, **options).backward()
        data.grad.wait_to_read()


def outputs_of(path, weights, keeps):
    """The outputs of each of several arrays of weights for the same image, in turn."""
    kernels, outputs = oracles.Kernels(path, 2), []
    for array in weights:
        data = np.linspace(-1, 1, array.shape[1] * 9 * 11, dtype="float32")
        data = data.reshape(1, array.shape[1], 9, 11)
        conv = oracles.Conv3x3(1, array.shape[1], len(array), 9, 11, 0, np.inf, 0, keeps)
        outputs.append(kernels.forward(conv, data, array, np.zeros(len(array), "float32")))
    return outputs


# 0 MB keep nothing, 1 MB has room for 2 of the 3 arrays.
@pytest.mark.parametrize("megabytes", [None, "1", "0"])
def test_kept_weights_change_no_bit(built_library, monkeypatch, megabytes):
    if megabytes:
        monkeypatch.setenv("DETKIT_KEPT_WEIGHTS", megabytes)
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # the variable is read once
        weights = [np.full((48, 64, 3, 3), value, "float32") for value in (1, 2, 3)]
        weights[1][-1, -1, -1, -1] = 2.5
        again = [weights[i] for i in (0, 1, 2, 2, 1, 0, 0)]
        kept = fresh.submit(outputs_of, built_library, again, 1).result()
    for found, expected in zip(kept, outputs_of(built_library, again, 0)):
        np.testing.assert_array_equal(found, expected)


def test_kept_weights_of_an_array_that_changes(built_library):
    weights = np.ones((16, 16, 3, 3), "float32")
    first = outputs_of(built_library, [weights], 1)[0]
    weights *= 2
    np.testing.assert_array_equal(outputs_of(built_library, [weights], 1)[0], 2 * first)


def test_kept_weights_of_several_threads(built_library):
    weights = [draw(seed, 1, 64, 64, 1, 1)[1] for seed in range(4)] * 8
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda each: outputs_of(built_library, [each], 1)[0], weights))
    for one, other in zip(found, outputs_of(built_library, weights, 0)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(5, 7, 13, 70), (40, 70, 9, 11), (3, 4, 1, 2)])
def test_an_image_gives_the_same_bits_alone(shape):
    data, weights, bias, grad_out = draw(0, 3, *shape)
    out, grads = run(grad_out, (data, weights, bias), relu=True)
    for image in range(3):
        one = slice(image, image + 1)
        alone, alone_grads = run(grad_out[one], (data[one], weights, bias), relu=True)
        np.testing.assert_array_equal(alone, out[one])
        np.testing.assert_array_equal(alone_grads[0], grads[0][one])


def test_maps_larger_than_caches_are_written_the_same():
    data, weights, *others = map(mx.nd.array, draw(0, 3, 2, 65, 211, 253)[:3])
    options = {"no_bias": False, "relu": True, "most": 1.0, "bfloat16": False}
    out = mx.nd.detkit_conv3x3(data, weights, *others, **options).asnumpy()
    assert out.size > 2**23 > out[0].size
    for image in range(3):
        alone = data[image : image + 1], weights, *others
        found = mx.nd.detkit_conv3x3(*alone, **options)
        np.testing.assert_array_equal(found.asnumpy()[0], out[image])


def test_no_images_give_gradients_of_zero(built_library):
    arrays = draw(0, 0, 3, 5, 4, 6)
    (out, grad_data, *grads), _ = kernels_of(built_library, 1, 1, arrays)
    assert out.size == grad_data.size == 0
    assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_stay_visible(strange, relu):
    data, weights, bias, grad_out = draw(0, 2, 3, 5, 23, 29)
    data[0, 1, 11, 13] = strange
    out, grads = run(grad_out, (data, weights, bias), relu)
    window = np.s_[0, :, 10:13, 12:15]
    if np.isnan(strange) or not relu:  # a ReLU may make 0 of an infinity
        assert not np.isfinite(out[window]).any()
    outside = np.ones(out.shape, bool)
    outside[0, :, 11 - 6 : 11 + 7, 13 - 6 : 13 + 7] = False
    assert np.isfinite(out[outside]).all()
    assert not np.isfinite(grads[1][:, 1]).any()
    assert np.isfinite(grads[0]).all()  # which does not depend on the data


def test_strange_weights_and_gradients_stay_visible():
    data, weights, bias, grad_out = draw(0, 1, 3, 5, 9, 9)
    weights[2, 1, 0, 2] = np.nan
    out, grads = run(grad_out, (data, weights, bias))
    assert np.isnan(out[:, 2, 1:, :-1]).all() and np.isfinite(out[:, [0, 1, 3, 4]]).all()
    assert np.isnan(grads[0][:, 1, :-1, 1:]).all()
    grad_out[0, 4, 0, 0] = np.inf
    _, grads = run(grad_out, (data, np.ones_like(weights), bias))
    assert not np.isfinite(grads[2][4]) and not np.isfinite(grads[1][4, :, 1:, 1:]).any()
    assert np.isfinite(grads[1][:4]).all()


def test_many_small_terms_are_not_lost_in_a_large_sum():
    rng = np.random.default_rng(0)
    data = rng.uniform(0, 1, (1, 1, 512, 512)).astype("float32")
    grad_out = rng.uniform(0, 1, (1, 2, 512, 512)).astype("float32")
    weights = np.ones((2, 1, 3, 3), "float32")
    _, (_, found) = run(grad_out, (data, weights))
    _, exact, _ = oracles.conv3x3_backward(data, weights, grad_out)
    np.testing.assert_allclose(found, exact, rtol=6e-7)

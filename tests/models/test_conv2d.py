"""The Conv2D of detkit against Gluon's, and what follows it: a ReLU, a frozen norm."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from detkit.models.layers import Conv2D, FoldingSequential, ReLU6, run_folding
from detkit.models.norms import norm_layer
from detkit.ops import backend
from support.blocks import with_random_numbers
from support.environment import BACKENDS
from support.graphs import ops_of

pytestmark = pytest.mark.processor
IMAGES = np.random.default_rng(0).normal(0, 1, (2, 3, 9, 11)).astype("float32")


@pytest.fixture(params=BACKENDS, autouse=True)
def operators(request, monkeypatch):
    """Each of the two sets of operators; its name."""
    monkeypatch.delenv(backend.CONVOLUTIONS_VARIABLE, raising=False)
    with backend.using(request.param):
        yield request.param


def output_and_gradients(net):
    images = mx.nd.array(IMAGES)
    images.attach_grad()
    with autograd.record():
        output = net(images)
        loss = (output * output).sum()
    loss.backward()
    trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
    return [output.asnumpy(), images.grad.asnumpy(), *(p.grad().asnumpy() for p in trained)]


def assert_same_results(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 * np.abs(other).max() + 5e-4)


def names_in(net):
    """The operators of a net, without copies."""
    return [name for name in ops_of(net(mx.sym.var("x"))) if name != "_copy"]


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize(
    "shape, own",
    [
        ({"kernel_size": 3, "padding": 1}, "detkit_conv3x3"),
        ({"kernel_size": 3, "padding": 1, "use_bias": False}, "detkit_conv3x3"),
        ({"kernel_size": 3, "padding": 1, "strides": 2}, "Convolution"),
        ({"kernel_size": 3, "padding": 1, "groups": 3}, "Convolution"),
        ({"kernel_size": 3, "padding": 1, "groups": 3, "channels": 3}, "detkit_depthwise"),
        ({"kernel_size": 1}, "detkit_conv1x1"),
        ({"kernel_size": 1, "strides": 2, "use_bias": False}, "detkit_conv1x1"),
        ({"kernel_size": 1, "strides": 3}, "Convolution"),
    ],
)
def test_it_is_gluons(shape, own, activation, hybridized, operators):
    arguments = {"channels": 6, "in_channels": 3, "activation": activation, **shape}
    plain = with_random_numbers(nn.Conv2D(**arguments, prefix="conv_"), 1, 1)
    ours = with_random_numbers(Conv2D(**arguments, prefix="conv_"), 1, 1)
    assert list(ours.collect_params()) == list(plain.collect_params())
    assert ours._collect_params_with_prefix().keys() == plain._collect_params_with_prefix().keys()
    assert repr(ours) == repr(plain)
    used = own if operators == "native" else "Convolution"
    is_separate = activation == "sigmoid" or (activation and used == "Convolution")
    assert names_in(ours) == [used, "Activation"][: 1 + bool(is_separate)]
    if activation is None:
        assert ours(mx.sym.var("x")).list_outputs() == plain(mx.sym.var("x")).list_outputs()
    ours.hybridize(hybridized)
    assert_same_results(output_and_gradients(ours), output_and_gradients(plain))


def layers(container, conv, frozen=None):
    """Two convolutions with a ReLU after each, and a norm after the first if it is asked for."""
    net = container(prefix="")
    net.add(conv(6, 3, padding=1, in_channels=3))
    if frozen is not None:
        net.add(nn.BatchNorm(in_channels=6, use_global_stats=frozen))
    net.add(nn.Activation("relu"), conv(5, 3, padding=1, in_channels=6), nn.Activation("relu"))
    return with_random_numbers(net, 1, 1)


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("frozen", [None, False, True])
def test_a_relu_is_part_of_the_convolution_before_it(frozen, hybridized, operators):
    ours, plain = layers(FoldingSequential, Conv2D, frozen), layers(nn.HybridSequential, nn.Conv2D)
    if frozen is not None:
        plain = layers(nn.HybridSequential, nn.Conv2D, frozen)
    if operators == "native":
        names = names_in(ours)
        assert names.count("detkit_conv3x3") == 2 and "Convolution" not in names
        assert names.count("Activation") == (frozen is False)  # behind a norm that learns
        assert ("BatchNorm" in names) == (frozen is False)
    ours.hybridize(hybridized)
    assert_same_results(output_and_gradients(ours), output_and_gradients(plain))


class Added(FoldingSequential):
    """Layers whose input is added to their output, before the last ReLU."""

    def hybrid_forward(self, F, x):
        return run_folding(F, x, self, x)


@pytest.mark.parametrize("rectified", [None, "relu", "relu6"])
@pytest.mark.parametrize("norm", [None, "BN", "FrozenStatsBN", "GN", "IN"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_sum_is_part_of_the_convolution_before_it(kernel, norm, rectified, operators):
    net = Added(prefix="")
    net.add(Conv2D(32, kernel, padding=kernel // 2, in_channels=32, use_bias=norm is None))
    if norm is not None:
        net.add(norm_layer(norm, 32))
    with_random_numbers(net, 1, 1)
    x = mx.nd.random.normal(shape=(2, 32, 5, 6))
    expected = x
    for layer in list(net):
        expected = layer(expected)
    expected = expected + x
    if rectified is not None:
        net.add(ReLU6() if rectified == "relu6" else nn.Activation("relu"))
        expected = mx.nd.clip(expected, 0, 6 if rectified == "relu6" else 1e6)
    np.testing.assert_allclose(net(x).asnumpy(), expected.asnumpy(), rtol=0, atol=1e-3)
    net.hybridize()
    np.testing.assert_allclose(net(x).asnumpy(), expected.asnumpy(), rtol=0, atol=1e-3)


def test_a_sum_follows_layers_that_end_otherwise():
    net = Added(prefix="")
    net.add(Conv2D(3, 1, in_channels=3), nn.Activation("sigmoid"))
    net.initialize()
    x = mx.nd.array(IMAGES)
    expected = net[1](net[0](x)) + x
    np.testing.assert_allclose(net(x).asnumpy(), expected.asnumpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("container", [nn.HybridSequential, FoldingSequential])
def test_channels_may_be_found_at_the_first_call(container, hybridized):
    net = container()
    net.add(Conv2D(6, 3, padding=1), nn.Activation("relu"))
    net.add(Conv2D(5, 3, padding=1), nn.BatchNorm())
    net.add(Conv2D(4, 3, padding=1, activation="relu", use_bias=False))
    net.initialize()
    net.hybridize(hybridized)
    first = net(mx.nd.array(IMAGES))
    assert first.shape == (2, 4, 9, 11)
    assert [net[i].weight.shape[1] for i in (0, 2, 4)] == [3, 6, 5]
    np.testing.assert_allclose(net(mx.nd.array(IMAGES)).asnumpy(), first.asnumpy(), atol=1e-6)


@pytest.mark.parametrize("hybridized", [False, True])
def test_another_type_is_computed_in_that_type(hybridized):
    found, expected = (
        layers(container, conv, True)
        for container, conv in ((FoldingSequential, Conv2D), (nn.HybridSequential, nn.Conv2D))
    )
    for net in (found, expected):
        net.cast("float64")
        net.hybridize(hybridized)
    images = mx.nd.array(IMAGES, dtype="float64")
    assert found(images).dtype == np.float64
    np.testing.assert_allclose(found(images).asnumpy(), expected(images).asnumpy(), rtol=1e-9)


def test_gradients_are_added_over_several_steps():
    ours, plain = layers(FoldingSequential, Conv2D), layers(nn.HybridSequential, nn.Conv2D)
    found = []
    for net in (ours, plain):
        net.hybridize(static_alloc=True, static_shape=True)
        net.collect_params().setattr("grad_req", "add")
        for _ in range(2):
            results = output_and_gradients(net)
        found.append(results)
    assert_same_results(*found)

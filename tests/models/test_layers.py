"""Layers against the plain layers they stand for."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from detkit.models.layers import FoldingSequential, relu6
from support.blocks import with_random_numbers


def layers(container, frozen, bias=False):
    """Convolution, norm, ReLU, convolution, norm; the same numbers in every container."""
    net = container(prefix="")
    for before, after, groups in ((3, 6, 1), (6, 6, 6)):
        net.add(nn.Conv2D(after, 3, 2, 1, groups=groups, use_bias=bias, in_channels=before))
        net.add(nn.BatchNorm(in_channels=after, use_global_stats=frozen))
        net.add(nn.Activation("relu"))
    return with_random_numbers(net, 0, 1.5)


def output_and_gradients(net, images):
    with autograd.record():
        output = net(images)
        loss = (output * output).sum()
    loss.backward()
    trained = {n: p for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
    return output.asnumpy(), {name: p.grad().asnumpy() for name, p in trained.items()}


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_folding_changes_no_number(frozen, bias, hybridized):
    images = mx.nd.array(np.random.default_rng(1).normal(size=(2, 3, 9, 12)))
    plain, folding = (
        layers(container, frozen, bias) for container in (nn.HybridSequential, FoldingSequential)
    )
    if hybridized:
        folding.hybridize()
    expected, expected_gradients = output_and_gradients(plain, images)
    found, gradients = output_and_gradients(folding, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        scale = np.abs(expected_gradients[name]).max()
        np.testing.assert_allclose(gradient, expected_gradients[name], atol=1e-4 * scale + 1e-3)


def test_folding_keeps_the_names():
    plain, folding = (layers(c, True) for c in (nn.HybridSequential, FoldingSequential))
    names = folding._collect_params_with_prefix().keys()
    assert names == plain._collect_params_with_prefix().keys()


def test_relu6():
    values = mx.nd.array([-1, 0, 2.5, 6, 7, 1e9])
    assert relu6(mx.nd, values).asnumpy().tolist() == [0, 0, 2.5, 6, 6, 6]

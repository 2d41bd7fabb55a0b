"""The RoI head whose convolutions come before its fully connected layers."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.models.roi_heads import ConvFCHead, FCHead
from support import backbones
from support.refusals import assert_refused


def numbers(*shape):
    return mx.nd.array(np.random.RandomState(0).standard_normal(shape))


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("norm", [None, "BN"])
def test_convolutions_come_before_the_layers_of_fc_head(norm, hybridized):
    head = backbones.fill(ConvFCHead(4, 3, 2, convs=[5, 6], norm=norm, hidden=[7]))
    fc = backbones.fill(FCHead(6, 3, 2, hidden=[7], dropout=0))
    hidden = features = numbers(2, 4, 3, 3)
    for block in head.convs:
        for layer in block:
            hidden = layer(hidden)
        assert hidden.asnumpy().min() == 0  # after a ReLU
    if hybridized:
        head.hybridize()
    logits, deltas = head(features)
    assert (logits.shape, deltas.shape) == ((2, 3), (2, 2, 4))
    for found, expected in zip((logits, deltas), fc(hidden)):
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)


def test_names_of_conv_fc_head():
    names = set(backbones.torch_shapes(ConvFCHead(4, 3, 2, convs=[5], norm="BN", hidden=[7])))
    norm = {f"convs.0.1.{kind}" for kind in ("weight", "bias", "running_mean", "running_var")}
    layers = {
        f"{layer}.{kind}" for layer in ("fc.0", "classes", "boxes") for kind in ("weight", "bias")
    }
    assert names == {"convs.0.0.weight"} | norm | layers


@pytest.mark.parametrize("convs", [[], [5, 0]])
def test_convs_of_conv_fc_head_are_checked(convs):
    assert_refused(partial(ConvFCHead, 4, 3, 2), convs=convs)

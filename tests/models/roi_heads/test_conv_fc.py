"""RoI heads and RPN heads with several convolutions."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models import RPNHead
from detkit.models.roi_heads import ConvFCHead, FCHead
from support import backbones


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
    with pytest.raises(ValueError, match="convs are one width or more of at least 1, not"):
        ConvFCHead(4, 3, 2, convs=convs)


def test_rpn_head_with_two_convolutions():
    head = backbones.fill(RPNHead(4, num_anchors=3, channels=5, objectness="sigmoid", convs=2))
    shapes = backbones.torch_shapes(head)
    assert shapes["conv.0.weight"] == (5, 4, 3, 3)
    assert shapes["conv.1.weight"] == (5, 5, 3, 3)
    features = numbers(2, 4, 6, 7)
    (logits,), (deltas,) = head([features])
    hidden = features
    for n in (0, 1):
        kernel, bias = (
            mx.nd.array(backbones.filling(f"conv.{n}.{kind}", shapes[f"conv.{n}.{kind}"]))
            for kind in ("weight", "bias")
        )
        hidden = mx.nd.relu(
            mx.nd.Convolution(hidden, kernel, bias, kernel=(3, 3), pad=(1, 1), num_filter=5)
        )
    for found, conv in ((logits, head.objectness), (deltas, head.deltas)):
        expected = conv(hidden).transpose((0, 2, 3, 1)).reshape(found.shape)
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)


def test_convs_of_rpn_head_are_checked():
    with pytest.raises(ValueError, match="convs is at least 1, not 0"):
        RPNHead(4, num_anchors=3, convs=0)

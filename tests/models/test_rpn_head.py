"""The region proposal network's head."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.models import RPNHead
from support import backbones
from support.refusals import assert_refused


def test_objectness_by_softmax_is_the_difference_of_the_logits():
    head = RPNHead(in_channels=4, num_anchors=2, channels=5)
    head.initialize(mx.init.Normal(1))
    features = mx.nd.random.normal(shape=(2, 4, 3, 5))
    (logits,), (deltas,) = head([features])
    assert logits.shape == (2, 3 * 5 * 2)
    assert deltas.shape == (2, 3 * 5 * 2, 4)
    maps = head.objectness(head.conv(features)).asnumpy()  # (2, A * 2, 3, 5)
    for b, row, column, anchor in ((0, 0, 0, 0), (1, 2, 4, 1), (0, 1, 3, 0)):
        background, foreground = maps[b, 2 * anchor : 2 * anchor + 2, row, column]
        found = logits[b, (row * 5 + column) * 2 + anchor].asscalar()
        assert found == pytest.approx(foreground - background, abs=1e-5)
    moves = head.deltas(head.conv(features)).asnumpy()
    assert deltas[1, (2 * 5 + 1) * 2 + 1].asnumpy() == pytest.approx(moves[1, 4:8, 2, 1], abs=1e-6)


def test_two_convolutions():
    head = backbones.fill(RPNHead(4, num_anchors=3, channels=5, objectness="sigmoid", convs=2))
    shapes = backbones.torch_shapes(head)
    assert shapes["conv.0.weight"] == (5, 4, 3, 3)
    assert shapes["conv.1.weight"] == (5, 5, 3, 3)
    features = mx.nd.array(np.random.RandomState(0).standard_normal((2, 4, 6, 7)))
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


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("channels", 0, "at least 1"),
        ("convs", 0, "at least 1"),
        ("objectness", "tanh", "'softmax' or 'sigmoid'"),
    ],
)
def test_arguments_are_checked(name, value, expected):
    assert_refused(partial(RPNHead, 4, num_anchors=3), expected, **{name: value})

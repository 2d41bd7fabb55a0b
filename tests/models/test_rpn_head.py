"""The region proposal network's head."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.models import RPNHead
from support import backbones
from support.refusals import assert_refused


def test_rpn_head_with_two_convolutions():
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

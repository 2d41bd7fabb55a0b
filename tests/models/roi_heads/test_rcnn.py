"""The head of R-CNN against numpy: classes of the hidden layers, boxes of the map before them."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models.roi_heads import RCNNHead
from detkit.weights import load_weights
from support import backbones

SHAPE = {"in_channels": 4, "num_classes": 2}


def dense(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(("pool", "side"), [(True, 6), (True, 5), (False, 3)])
def test_logits_and_deltas(pool, side, hybridized):
    head = backbones.fill(RCNNHead(**SHAPE, in_size=side, hidden=[7, 5], dropout=0.5, pool=pool))
    if hybridized:
        head.hybridize()
    shapes = backbones.torch_shapes(head)
    weights = {name: backbones.filling(name, shape) for name, shape in shapes.items()}
    x = np.random.RandomState(0).standard_normal((3, 4, side, side)).astype("float32")
    cells = x[:, :, : side // 2 * 2, : side // 2 * 2]
    cells = cells.reshape(3, 4, side // 2, 2, side // 2, 2).max(axis=(3, 5)) if pool else x
    cells = cells.reshape(3, -1)
    hidden = cells
    for layer, number in enumerate((0, 2)):  # a dropout follows each
        hidden = np.maximum(dense(hidden, weights, f"fc.{number}"), 0)
        assert hidden.shape[1] == (7, 5)[layer]
    expected = dense(hidden, weights, "classes"), dense(cells, weights, "boxes").reshape(3, 2, 4)
    for found, other in zip(head(mx.nd.array(x)), expected):
        np.testing.assert_allclose(found.asnumpy(), other, rtol=1e-3, atol=1e-4)
    for found, other in zip(head.features(mx.nd, mx.nd.array(x)), (hidden, cells)):
        np.testing.assert_allclose(found.asnumpy(), other, rtol=1e-3, atol=1e-4)


def test_the_boxes_leave_the_hidden_layers_alone():
    head = backbones.fill(RCNNHead(**SHAPE, in_size=2, hidden=[6], pool=False))
    with autograd.record():
        total = (head(mx.nd.ones((1, 4, 2, 2)))[1] ** 2).sum()
    total.backward()
    assert np.abs(head.boxes.weight.grad().asnumpy()).max() > 0
    assert np.abs(head.fc[0].weight.grad().asnumpy()).max() == 0


def test_vggs_layers_are_read_by_their_names():
    head = RCNNHead(in_channels=4, in_size=4, num_classes=2, hidden=[6, 5])
    head.initialize()
    layers, names = head.pretrained_part()
    theirs = {"classifier.0.weight": (6, 16), "classifier.0.bias": (6,)}
    theirs.update({"classifier.3.weight": (5, 6), "classifier.3.bias": (5,)})
    state = {name: backbones.filling(name, shape) for name, shape in theirs.items()}
    assert load_weights(layers, state, names) == []
    np.testing.assert_array_equal(
        head.fc[2].weight.data().asnumpy(), state["classifier.3.weight"].astype("float32")
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [({"hidden": [0]}, "at least 1"), ({"dropout": 1}, "[0, 1)"), ({"pool": True}, "false")],
)
def test_arguments_are_checked(wrong, expected):
    make = partial(RCNNHead, **SHAPE, in_size=1, **({} if "pool" in wrong else {"pool": False}))
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        make(**wrong)
    assert expected in str(caught.value)

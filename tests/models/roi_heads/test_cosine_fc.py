"""The RoI head of cosines against numpy: its logits, what they do not depend on, its training."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from detkit.models.roi_heads import CosineFCHead, FCHead
from support import backbones
from support.refusals import assert_refused

SIZES = 4, 3, 5  # channels, cells along a side, classes


def numbers(*shape):
    return mx.nd.array(np.random.RandomState(0).standard_normal(shape))


def cosines(rows, weights):
    rows, weights = rows.astype("float64"), weights.astype("float64")
    lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(weights, axis=1)
    return rows @ weights.T / np.maximum(lengths, 1e-9)  # a row of zeros has the cosine 0


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("hidden", [[], [7], [8, 6]])
def test_logits_are_scaled_cosines(hidden, hybridized):
    head = backbones.fill(CosineFCHead(*SIZES, scale=13.0, hidden=hidden))
    rows = features = numbers(9, 4, 3, 3)
    rows = mx.nd.flatten(rows)
    for layer in head.fc:
        rows = layer(rows)
    if hybridized:
        head.hybridize()
    logits, deltas = head(features)
    assert (logits.shape, deltas.shape) == ((9, 6), (9, 5, 4))
    expected = 13 * cosines(rows.asnumpy(), head.classes.weight.data().asnumpy())
    np.testing.assert_allclose(logits.asnumpy(), expected, rtol=1e-4, atol=1e-3)
    boxes = head.boxes(rows).reshape((9, 5, 4))
    np.testing.assert_allclose(deltas.asnumpy(), boxes.asnumpy(), rtol=1e-5, atol=1e-6)


def test_logits_do_not_depend_on_lengths():
    head = backbones.fill(CosineFCHead(*SIZES, hidden=[]))
    features = numbers(3, 4, 3, 3)
    before, _ = head(features)
    head.classes.weight.set_data(head.classes.weight.data() * mx.nd.array([[1, 2, 9, 4, 0.1, 3]]).T)
    after, _ = head(features * 50)
    np.testing.assert_allclose(after.asnumpy(), before.asnumpy(), rtol=1e-4, atol=1e-4)
    assert np.abs(before.asnumpy()).max() <= 20 + 1e-4


def test_a_row_of_zeros_has_finite_logits_and_gradients():
    head = backbones.fill(CosineFCHead(*SIZES, hidden=[6]))
    features = mx.nd.zeros((2, 4, 3, 3))
    features.attach_grad()
    head.fc[0].bias.set_data(mx.nd.full(6, -1))  # nothing passes the ReLU
    with autograd.record():
        logits, deltas = head(features)
        total = logits.sum() + deltas.sum()
    total.backward()
    assert not logits.asnumpy().any()
    gradients = [p.grad().asnumpy() for p in head.collect_params().values()]
    assert all(np.isfinite(each).all() for each in [features.grad.asnumpy(), *gradients])


def test_it_learns_classes_of_few_examples():
    mx.random.seed(0)
    head = CosineFCHead(*SIZES, hidden=[16])
    head.initialize()
    features, labels = numbers(12, 4, 3, 3), mx.nd.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5])
    trainer = gluon.Trainer(head.collect_params(), "adam", {"learning_rate": 0.01})
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    for _ in range(60):
        with autograd.record():
            total = loss(head(features)[0], labels).mean()
        total.backward()
        trainer.step(1, ignore_stale_grad=True)  # that of the boxes
    assert (head(features)[0].argmax(axis=1) == labels).min().asscalar() == 1


def test_names_and_shapes_are_those_of_fc_head_without_the_bias_of_the_classes():
    shapes = [backbones.torch_shapes(kind(*SIZES, hidden=[7])) for kind in (FCHead, CosineFCHead)]
    plain, cosine = map(dict, shapes)
    assert plain.pop("classes.bias") == (6,)
    assert cosine == plain


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": float("nan")}, {"dropout": 1.0}])
def test_senseless_arguments_are_refused(wrong):
    assert_refused(partial(CosineFCHead, *SIZES), **wrong)

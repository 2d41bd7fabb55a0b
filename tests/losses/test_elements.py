"""Losses against loops, their sums' normalisers, and their gradients by finite differences."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mxnet import autograd

from detkit import losses
from detkit.losses import RoILoss, RPNLoss, SigmoidBCE, SigmoidFocal, SmoothL1
from support.loss_oracles import focal
from support.oracles import (
    binary_cross_entropy,
    cross_entropy,
    roi_losses,
    rpn_losses,
    smooth_l1,
)

LOGITS = st.floats(-100, 100, width=32)
# oneDNN's softplus and MXNet's log_softmax are a few 1e-6 off where the loss is next to nothing.
ABSOLUTE = 1e-5


def gradient(function, array):
    """The gradient of sum(function(x)) at x, by autograd."""
    x = mx.nd.array(array)
    x.attach_grad()
    with autograd.record():
        total = function(x).sum()
    total.backward()
    return x.grad.asnumpy()


def slopes(function, array, step=1e-2):
    """The same by central differences, one element at a time."""
    found = np.zeros_like(array, "float64")
    for index in np.ndindex(*array.shape):
        move = np.zeros_like(array)
        move[index] = step
        higher, lower = (function(mx.nd.array(array + m)).sum().asscalar() for m in (move, -move))
        found[index] = (higher - lower) / (2 * step)
    return found


@pytest.mark.parametrize("beta", [0, 1 / 9, 1])
@given(differences=arrays("float32", 7, elements=st.floats(-1000, 1000, width=32)))
def test_smooth_l1(beta, differences):
    zeros = mx.nd.zeros(7)
    found = SmoothL1(beta)(mx.nd.array(differences), zeros).asnumpy()
    expected = [smooth_l1(d, beta) for d in differences]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta", [0, 1 / 9, 1])
def test_gradient_of_smooth_l1(beta):
    predicted = np.array([-3, -1.2, -0.5, -0.06, 0.05, 0.7, 1.5, 40], "float32")
    loss = SmoothL1(beta)
    found = gradient(lambda x: loss(x, mx.nd.zeros_like(x)), predicted)
    np.testing.assert_allclose(
        found, slopes(lambda x: loss(x, mx.nd.zeros_like(x)), predicted), atol=2e-3
    )


def test_beta_is_not_negative():
    with pytest.raises(ValueError, match=r"beta is not negative, but here it is -0\.5"):
        SmoothL1(-0.5)


@given(arrays("float32", 6, elements=LOGITS), arrays("float32", 6, elements=st.integers(0, 1)))
def test_binary_cross_entropy(logits, labels):
    found = losses.binary_cross_entropy(mx.nd, mx.nd.array(logits), mx.nd.array(labels)).asnumpy()
    expected = [binary_cross_entropy(*pair) for pair in zip(logits, labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=ABSOLUTE)


def test_gradient_of_binary_cross_entropy():
    logits = np.array([-60, -2, -0.1, 0.1, 3, 60] * 2, "float32")
    labels = mx.nd.array([0] * 6 + [1] * 6)
    found = gradient(lambda x: losses.binary_cross_entropy(mx.nd, x, labels), logits)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)) - labels.asnumpy(), atol=1e-6)


@given(arrays("float32", (3, 4), elements=LOGITS), arrays("int32", 3, elements=st.integers(0, 3)))
def test_cross_entropy(logits, labels):
    found = losses.cross_entropy(mx.nd, mx.nd.array(logits), mx.nd.array(labels)).asnumpy()
    expected = [cross_entropy(*pair) for pair in zip(logits, labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=ABSOLUTE)


def test_gradient_of_cross_entropy():
    logits = np.random.default_rng(0).normal(0, 2, (4, 3)).astype("float32")
    labels = mx.nd.array([0, 2, 1, 1])

    def loss(x):
        return losses.cross_entropy(mx.nd, x, labels)

    np.testing.assert_allclose(gradient(loss, logits), slopes(loss, logits), atol=2e-3)


@st.composite
def rpn_outputs(draw):
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 7)))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    labels = draw(arrays("float32", shape, elements=st.integers(-1, 1)))
    deltas, targets = rng.normal(0, 1, (2, *shape, 4)).astype("float32")
    return rng.normal(0, 3, shape).astype("float32"), deltas, labels, targets


def on_one_level(block, objectness, deltas, labels, targets):
    return block([objectness], [deltas], labels, targets)


@given(rpn_outputs())
def test_rpn_loss(outputs):
    found = on_one_level(RPNLoss(SmoothL1(1 / 9)), *map(mx.nd.array, outputs))
    assert [loss.shape for loss in found] == [(1,), (1,)]
    expected = rpn_losses(*outputs, beta=1 / 9)
    assert [loss.asscalar() for loss in found] == pytest.approx(expected, rel=1e-4, abs=ABSOLUTE)


@st.composite
def roi_outputs(draw):
    """logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S), targets (B, S, 4)."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 5)))
    classes = draw(st.integers(1, 4))
    boxes = draw(st.sampled_from([1, classes]))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    count = shape[0] * shape[1]
    return (
        rng.normal(0, 3, (count, 1 + classes)).astype("float32"),
        rng.normal(0, 2, (count, boxes, 4)).astype("float32"),
        draw(arrays("float32", shape, elements=st.integers(-1, classes))),
        rng.normal(0, 2, (*shape, 4)).astype("float32"),
    )


@given(roi_outputs())
def test_roi_loss(outputs):
    found = RoILoss(SmoothL1(1.0))(*map(mx.nd.array, outputs))
    logits, deltas, labels, targets = outputs
    expected = roi_losses(logits, deltas, labels.ravel(), targets.reshape(-1, 4), beta=1.0)
    assert [loss.shape for loss in found] == [(1,), (1,)]
    assert [loss.asscalar() for loss in found] == pytest.approx(expected, rel=1e-4, abs=ABSOLUTE)


@pytest.mark.parametrize("boxes", [1, 3])
def test_gradient_of_roi_loss(boxes):
    rng = np.random.default_rng(0)
    logits, deltas = rng.normal(0, 1, (4, 4)), rng.normal(0, 2, (4, boxes, 4))
    labels, targets = mx.nd.array([[0, 3], [-1, 1]]), mx.nd.array(rng.normal(0, 2, (2, 2, 4)))
    block = RoILoss(SmoothL1(1.0))
    block.hybridize()

    def class_loss(x):
        return block(x, mx.nd.array(deltas), labels, targets)[0]

    def box_loss(x):
        return block(mx.nd.array(logits), x, labels, targets)[1]

    for loss, array in ((class_loss, logits), (box_loss, deltas)):
        array = array.astype("float32")
        np.testing.assert_allclose(gradient(loss, array), slopes(loss, array), atol=2e-3)


def test_rows_that_are_not_trained_on_have_no_gradient():
    block = RoILoss(SmoothL1(1.0))
    labels, targets = mx.nd.array([[-1, 0]]), mx.nd.full((1, 2, 4), 1e9)
    zeros = mx.nd.zeros((2, 1, 4))
    found = gradient(lambda x: block(x, zeros, labels, targets)[0], np.ones((2, 3), "float32"))
    assert (found[0] == 0).all()
    assert (found[1] != 0).all()
    found = gradient(
        lambda x: block(mx.nd.ones((2, 3)), x, labels, targets)[1], np.zeros((2, 1, 4), "float32")
    )
    assert (found == 0).all()


def test_without_a_sample_losses_and_gradients_are_zero():
    block = RPNLoss(SmoothL1(1 / 9))
    ignored, boxes = mx.nd.full((1, 3), -1), mx.nd.ones((1, 3, 4))
    losses = on_one_level(block, mx.nd.ones((1, 3)), boxes, ignored, boxes)
    assert [loss.asscalar() for loss in losses] == [0, 0]
    found = gradient(
        lambda x: on_one_level(block, x, boxes, ignored, boxes)[0], np.ones((1, 3), "float32")
    )
    assert (found == 0).all()


@pytest.mark.parametrize("block", [RPNLoss, RoILoss])
def test_weights_multiply_the_losses(block):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (1, 4) if block is RPNLoss else (4, 3))
    deltas = rng.normal(0, 1, (1, 4, 4) if block is RPNLoss else (4, 1, 4))
    labels, targets = np.array([[1, 0, 1, -1]]), rng.normal(0, 1, (1, 4, 4))
    inputs = [mx.nd.array(array) for array in (logits, deltas, labels, targets)]
    if block is RPNLoss:
        inputs[:2] = [inputs[0]], [inputs[1]]  # of one level
    plain = [loss.asscalar() for loss in block(SmoothL1())(*inputs)]
    weighted = block(SmoothL1(), class_weight=3, box_weight=0.5)(*inputs)
    assert min(plain) > 0
    assert [loss.asscalar() for loss in weighted] == pytest.approx([3 * plain[0], plain[1] / 2])


@given(rpn_outputs())
def test_rpn_loss_with_a_focal_loss(outputs):
    logits, deltas, labels, targets = outputs
    block = RPNLoss(SmoothL1(), SigmoidFocal(0.25, 2.0))
    found = on_one_level(block, *map(mx.nd.array, outputs))[0].asscalar()
    sampled = labels >= 0
    expected = sum(focal(z, t == 1, 0.25, 2.0) for z, t in zip(logits[sampled], labels[sampled]))
    assert found == pytest.approx(expected / max(sampled.sum(), 1), rel=1e-4, abs=ABSOLUTE)


@given(roi_outputs())
def test_roi_loss_with_a_binary_loss_of_every_logit(outputs):
    logits, _, labels, _ = outputs
    found = RoILoss(SmoothL1(), SigmoidBCE())(*map(mx.nd.array, outputs))[0].asscalar()
    rows = [(row, label) for row, label in zip(logits, labels.ravel()) if label >= 0]
    expected = sum(
        binary_cross_entropy(z, number == label)
        for row, label in rows
        for number, z in enumerate(row)
    )
    assert found == pytest.approx(expected / max(len(rows), 1), rel=1e-4, abs=ABSOLUTE)

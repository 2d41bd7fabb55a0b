"""The losses of rows and elements against numpy: values, gradients, extreme inputs."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detkit import losses
from detkit.losses import (
    L1,
    BalancedL1,
    CrossEntropy,
    SigmoidBCE,
    SigmoidFocal,
    SmoothL1,
)
from support import loss_oracles as oracles
from support.gradients import gradient, slopes, value_and_gradient
from support.oracles import binary_cross_entropy, cross_entropy, smooth_l1
from support.refusals import assert_refused

DIFFERENCES = st.floats(-1000, 1000, width=32)


FOCAL = [(0.25, 2.0), (None, 2.0), (0.5, 0.5), (None, 0.0), (1.0, 5.0)]

LOGITS = st.floats(-100, 100, width=32)

# oneDNN's softplus and MXNet's log_softmax are a few 1e-6 off where the loss is next to nothing.
ABSOLUTE = 1e-5


@given(arrays("float32", 7, elements=DIFFERENCES))
def test_l1(differences):
    found, slope = value_and_gradient(L1(), differences, np.zeros(7))
    np.testing.assert_allclose(found, np.abs(differences))
    assert slope.tolist() == np.sign(differences).tolist()


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


@pytest.mark.parametrize("alpha, gamma", [(0.5, 1.5), (1.0, 1.0), (0.2, 2.0)])
@given(differences=arrays("float32", 7, elements=DIFFERENCES))
def test_balanced_l1(alpha, gamma, differences):
    found, _ = value_and_gradient(BalancedL1(alpha, gamma), differences, np.zeros(7))
    expected = [oracles.balanced_l1(d, alpha, gamma) for d in differences]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha, gamma", [(0.5, 1.5), (0.2, 2.0)])
def test_gradient_of_balanced_l1(alpha, gamma):
    differences = np.array([-30, -1.01, -0.99, -0.4, 0.003, 0.2, 0.999, 1.001, 7], "float32")
    _, found = value_and_gradient(BalancedL1(alpha, gamma), differences, np.zeros(9))
    expected = [
        oracles.slopes(lambda x: oracles.balanced_l1(x[0], alpha, gamma), [d])[0]
        for d in differences
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.abs(found[[0, -1]]), gamma)


@pytest.mark.parametrize("alpha, gamma", FOCAL)
@given(
    arrays("float32", 6, elements=st.floats(-100, 100, width=32)),
    arrays("float32", 6, elements=st.integers(0, 1)),
)
def test_focal(alpha, gamma, logits, labels):
    found, _ = value_and_gradient(SigmoidFocal(alpha, gamma), logits, labels)
    expected = [oracles.focal(z, t, alpha, gamma) for z, t in zip(logits, labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha, gamma", FOCAL)
def test_gradient_of_focal(alpha, gamma):
    logits, labels = np.array([-30, -3, -0.5, 0, 0.5, 4, 30] * 2, "float32"), [0] * 7 + [1] * 7
    _, found = value_and_gradient(SigmoidFocal(alpha, gamma), logits, labels)
    expected = [
        oracles.slopes(lambda x: oracles.focal(x[0], t, alpha, gamma), [z])[0]  # noqa: B023
        for z, t in zip(logits, labels)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", [SigmoidBCE(), SigmoidFocal(), SigmoidFocal(gamma=0.5)])
def test_any_logit_has_a_finite_loss_and_gradient(loss):
    logits = np.array([0, 88, 89, 1e4, 1e30, -88, -89, -1e4, -1e30] * 2)
    found, slope = value_and_gradient(loss, logits, [0] * 9 + [1] * 9)
    assert np.isfinite(found).all()
    assert np.isfinite(slope).all()


def test_bce_is_focal_without_focus():
    logits, labels = np.linspace(-9, 9, 12), np.arange(12) % 2
    found, slope = value_and_gradient(SigmoidBCE(), logits, labels)
    other, other_slope = value_and_gradient(SigmoidFocal(None, 0.0), logits, labels)
    np.testing.assert_allclose(found, other, rtol=1e-6)
    np.testing.assert_allclose(slope, other_slope, rtol=1e-6, atol=1e-7)


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


@pytest.mark.parametrize("weights", [(), (0.5, 2.0, 0.0)])
def test_class_weights(weights):
    logits = np.random.default_rng(0).normal(0, 3, (6, 3))
    labels = np.array([0, 1, 2, 2, 1, 0])
    found, slope = value_and_gradient(CrossEntropy(weights), logits, labels)
    factors = np.array(weights or (1, 1, 1))[labels]
    expected = [f * cross_entropy(*row) for f, *row in zip(factors, logits, labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = factors[:, None] * (probabilities - np.eye(3)[labels])
    np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_differences_of_any_size_have_finite_losses():
    for loss in (L1(), SmoothL1(), BalancedL1(), BalancedL1(0.1, 2.0)):
        found, slope = value_and_gradient(loss, [0, 1e-30, 1, 1e30, -1e30], np.zeros(5))
        assert np.isfinite(found).all()
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (SmoothL1, {"beta": -0.5}),
        (BalancedL1, {"alpha": 0.0}),
        (BalancedL1, {"gamma": -1.0}),
        (SigmoidFocal, {"gamma": -1.0}),
        (SigmoidFocal, {"alpha": 1.5}),
        (CrossEntropy, {"weights": [1.0, -1.0]}),
    ],
)
def test_arguments_are_checked(kind, wrong):
    assert_refused(kind, **wrong)

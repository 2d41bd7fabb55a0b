"""Losses that balance easy and hard examples, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detkit.losses import BalancedL1, CrossEntropy, SigmoidBCE, SigmoidFocal, SoftmaxFocal
from support import loss_oracles as oracles
from support.gradients import value_and_gradient
from support.refusals import assert_refused

DIFFERENCES = st.floats(-1000, 1000, width=32)

WEIGHTS = {None: (1, 1, 1), 0.25: (0.75, 0.25, 0.25), 1.0: (0, 1, 1), (2.0, 0.0, 1.5): (2, 0, 1.5)}
FOCAL = [(0.25, 2.0), (None, 2.0), (0.5, 0.5), (None, 0.0), (1.0, 5.0)]


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


def test_bce_is_focal_without_focus():
    logits, labels = np.linspace(-9, 9, 12), np.arange(12) % 2
    found, slope = value_and_gradient(SigmoidBCE(), logits, labels)
    other, other_slope = value_and_gradient(SigmoidFocal(None, 0.0), logits, labels)
    np.testing.assert_allclose(found, other, rtol=1e-6)
    np.testing.assert_allclose(slope, other_slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", WEIGHTS)
@given(
    arrays("float32", (4, 3), elements=st.floats(-100, 100, width=32)),
    arrays("int32", 4, elements=st.integers(0, 2)),
)
def test_softmax_focal(alpha, gamma, logits, labels):
    found, _ = value_and_gradient(SoftmaxFocal(alpha, gamma), logits, labels)
    weights = WEIGHTS[alpha]
    expected = [oracles.softmax_focal(z, t, weights[t], gamma) for z, t in zip(logits, labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", WEIGHTS)
def test_gradient_of_softmax_focal(alpha, gamma):
    logits = np.random.default_rng(0).normal(0, 2, (9, 3)).astype("float32")
    labels = np.arange(9) % 3
    _, found = value_and_gradient(SoftmaxFocal(alpha, gamma), logits, labels)
    weights = WEIGHTS[alpha]
    expected = [
        oracles.slopes(lambda x: oracles.softmax_focal(x, t, weights[t], gamma), z)  # noqa: B023
        for z, t in zip(logits, labels)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_certain_rows_have_finite_focal_losses_and_gradients(gamma):
    logits = np.array([[1e4, 0], [1e30, -1e30], [0, 0], [-88, 88], [-1e30, 1e30]])
    for label in (0, 1):
        found, slope = value_and_gradient(SoftmaxFocal(gamma=gamma), logits, [label] * 5)
        assert np.isfinite(found).all()
        assert np.isfinite(slope).all()


def test_cross_entropy_is_softmax_focal_without_focus():
    logits, labels = np.random.default_rng(0).normal(0, 3, (6, 3)), np.arange(6) % 3
    weights = (0.5, 2.0, 1.0)
    found = value_and_gradient(SoftmaxFocal(weights, 0.0), logits, labels)
    expected = value_and_gradient(CrossEntropy(weights), logits, labels)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (BalancedL1, {"alpha": 0.0}),
        (BalancedL1, {"gamma": -1.0}),
        (SigmoidFocal, {"gamma": -1.0}),
        (SigmoidFocal, {"alpha": 1.5}),
        (SoftmaxFocal, {"gamma": -1.0}),
        (SoftmaxFocal, {"alpha": 1.5}),
        (SoftmaxFocal, {"alpha": [1.0, -0.5]}),
    ],
)
def test_arguments_are_checked(kind, wrong):
    assert_refused(kind, **wrong)

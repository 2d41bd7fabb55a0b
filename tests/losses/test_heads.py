"""The registered losses against numpy: values, gradients by finite differences, extreme inputs."""

import functools

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mxnet import autograd

from detkit.losses import (
    L1,
    BalancedL1,
    CIoULoss,
    CrossEntropy,
    DIoULoss,
    GIoULoss,
    IoULoss,
    SigmoidBCE,
    SigmoidFocal,
    SmoothL1,
)
from support import loss_oracles as oracles
from support.oracles import cross_entropy

DIFFERENCES = st.floats(-1000, 1000, width=32)
OF_BOXES = [
    (IoULoss(), oracles.iou_loss),
    (IoULoss(linear=True), functools.partial(oracles.iou_loss, linear=True)),
    (GIoULoss(), oracles.giou_loss),
    (DIoULoss(), oracles.diou_loss),
    (CIoULoss(), oracles.ciou_loss),
]
FOCAL = [(0.25, 2.0), (None, 2.0), (0.5, 0.5), (None, 0.0), (1.0, 5.0)]


def names(cases):
    return [type(loss).__name__ for loss, _ in cases]


def value_and_gradient(loss, predicted, target):
    """The losses, and the gradient of their sum at predicted, of a compiled loss."""
    loss.hybridize()
    x = mx.nd.array(predicted)
    x.attach_grad()
    with autograd.record():
        losses = loss(x, mx.nd.array(target))
    losses.backward()
    return losses.asnumpy(), x.grad.asnumpy()


@given(arrays("float32", 7, elements=DIFFERENCES))
def test_l1(differences):
    found, slope = value_and_gradient(L1(), differences, np.zeros(7))
    np.testing.assert_allclose(found, np.abs(differences))
    assert slope.tolist() == np.sign(differences).tolist()


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


def a_box():
    """Corners on quarters of pixels: what touches in float32 touches in float64."""
    numbers = st.integers(-40, 40), st.integers(-40, 40), st.integers(1, 60), st.integers(1, 60)
    return st.tuples(*numbers).map(lambda n: np.array([*n[:2], n[0] + n[2], n[1] + n[3]]) / 4)


@pytest.mark.parametrize("loss, oracle", OF_BOXES, ids=names(OF_BOXES))
@given(st.lists(st.tuples(a_box(), a_box()), min_size=1, max_size=4))
def test_losses_of_boxes(loss, oracle, pairs):
    found, slope = value_and_gradient(loss, *np.stack(pairs, axis=1))
    assert found.shape == (len(pairs), 1)
    expected = [[oracle(*pair)] for pair in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(slope).all()


# Apart, overlapping, inside, around, long and far.
PREDICTED = [[0, 0, 4, 3], [1, 2, 9, 7.5], [3, 3, 5, 4.5], [-9, -8, 30, 31], [2, 3, 42, 5]]
TARGET = [6, 5, 11, 9], [2, 1, 8, 9], [1, 2, 8, 9], [1, 2, 8, 9], [1, 2, 3, 39]


@pytest.mark.parametrize("loss, oracle", OF_BOXES, ids=names(OF_BOXES))
def test_gradients_of_losses_of_boxes(loss, oracle):
    _, found = value_and_gradient(loss, PREDICTED, TARGET)
    for box, target, gradient in zip(PREDICTED, TARGET, found):
        fixed = {}
        if oracle is oracles.ciou_loss:
            fixed["alpha"] = oracles.aspect_weight(box, target)  # no gradient flows through it
        expected = oracles.slopes(lambda b: oracle(b, target, **fixed), box)  # noqa: B023
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", [GIoULoss(), DIoULoss(), CIoULoss()])
def test_boxes_apart_are_drawn_together(loss):
    _, (gradient,) = value_and_gradient(loss, [[0, 0, 4, 4]], [[10, 10, 14, 14]])
    assert gradient[2:].max() < 0


AWKWARD = [
    [0, 0, 0, 0],
    [5, 5, 5, 5],
    [9, 9, 2, 2],
    [0, 0, 1e-20, 1e-20],
    [0, 0, 1e6, 1e-6],
    [-1e30, -1e30, 1e30, 1e30],
    [1e30, 1e30, 1e30, 1e30],
    [0, 0, 3.4e38, 10],
]


@pytest.mark.parametrize("loss", [loss for loss, _ in OF_BOXES], ids=names(OF_BOXES))
def test_boxes_of_any_kind_have_finite_losses_and_gradients(loss):
    predicted, target = (
        np.array(a).reshape(-1, 4)
        for a in np.broadcast_arrays(np.array(AWKWARD)[:, None], np.array(AWKWARD)[None])
    )
    found, slope = value_and_gradient(loss, predicted, target)
    assert np.isfinite(found).all()
    assert np.isfinite(slope).all()
    assert (found >= -1e-5).all()


def test_equal_boxes_cost_nothing():
    for loss, _ in OF_BOXES:
        found, slope = value_and_gradient(loss, [[3, 4, 30, 20]], [[3, 4, 30, 20]])
        assert found == pytest.approx(0, abs=1e-6)
        assert np.isfinite(slope).all()


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
    "make, message",
    [
        (lambda: BalancedL1(alpha=0.0), r"alpha and gamma are positive, but here they are 0\.0"),
        (lambda: BalancedL1(gamma=-1.0), r"alpha and gamma are positive, .* 0\.5, -1\.0"),
        (lambda: SigmoidFocal(gamma=-1.0), r"gamma is not negative, .* -1\.0, 0\.25"),
        (lambda: SigmoidFocal(alpha=1.5), r"alpha is in \[0, 1\] or null, .* 2\.0, 1\.5"),
        (lambda: CrossEntropy([1.0, -1.0]), r"weights are not negative, .* \[1\.0, -1\.0\]"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()

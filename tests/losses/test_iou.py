"""Losses of boxes against numpy: values, gradients, awkward boxes."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit.losses import CIoULoss, DIoULoss, GIoULoss, IoULoss
from support import loss_oracles as oracles
from support.gradients import value_and_gradient

OF_BOXES = [
    (IoULoss(), oracles.iou_loss),
    (IoULoss(linear=True), functools.partial(oracles.iou_loss, linear=True)),
    (GIoULoss(), oracles.giou_loss),
    (DIoULoss(), oracles.diou_loss),
    (CIoULoss(), oracles.ciou_loss),
]


def names(cases):
    return [type(loss).__name__ for loss, _ in cases]


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
    for box, target, slope in zip(PREDICTED, TARGET, found):
        fixed = {}
        if oracle is oracles.ciou_loss:
            fixed["alpha"] = oracles.aspect_weight(box, target)  # no gradient flows through it
        expected = oracles.slopes(lambda b: oracle(b, target, **fixed), box)  # noqa: B023
        np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", [GIoULoss(), DIoULoss(), CIoULoss()])
def test_boxes_apart_are_drawn_together(loss):
    _, (slope,) = value_and_gradient(loss, [[0, 0, 4, 4]], [[10, 10, 14, 14]])
    assert slope[2:].max() < 0


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

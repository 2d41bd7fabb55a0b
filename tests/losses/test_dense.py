"""Losses of dense predictions against numpy; tests of RetinaNet compare DenseLoss."""

import mxnet as mx
import numpy as np
import pytest

from detkit.losses import MaskLoss


def nd(*arrays):
    return [mx.nd.array(array, dtype="float32") for array in arrays]


def test_mask_loss_is_that_of_the_positives():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 5, 5)).astype("float32")
    labels = np.array([[0, 2, -1], [1, -1, -1]], "float32")
    targets = rng.integers(0, 2, (2, 3, 5, 5)).astype("float32")
    found = MaskLoss(weight=2)(*nd(logits, labels, targets))
    losses = []
    for place in zip(*np.nonzero(labels >= 0)):
        probability = 1 / (1 + np.exp(-logits[place]))
        right = np.where(targets[place] == 1, probability, 1 - probability)
        losses.append(-np.log(right).mean())
    assert found.shape == (1,)
    assert found.asscalar() == pytest.approx(2 * np.mean(losses), rel=1e-5)


def test_without_positives_the_mask_loss_is_zero():
    loss = MaskLoss()(*nd(np.ones((1, 2, 4, 4)), [[-1, -1]], np.ones((1, 2, 4, 4))))
    assert loss.asscalar() == 0

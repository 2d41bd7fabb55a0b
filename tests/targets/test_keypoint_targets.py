"""KeypointTargets and KeypointLoss against numpy, one keypoint after the other."""

import mxnet as mx
import numpy as np
import pytest

from detkit.keypoints import NOT_TRAINED
from detkit.losses import KeypointLoss
from detkit.targets import KeypointTargets

SIZE = 8
BOXES = np.array([[[6, 4, 30, 20], [20, 10, 49, 38], [0] * 4], [[5, 5, 40, 12], [0] * 4, [0] * 4]])
LABELS = np.array([[2, 0, -1], [1, -1, -1]])
# The positive RoIs come first: 1 + class; then background; then rows that are not trained on.
ROIS = np.array(
    [
        [[7, 2, 28, 21], [22, 9, 47, 40], [0, 0, 9, 9], [1, 1, 5, 5]],
        [[4, 4, 44, 14], [30, 20, 48, 39], [0, 0, 9, 9], [0, 0, 0, 0]],
    ]
)
ROI_LABELS = np.array([[3, 1, 0, 0], [2, 0, 0, -1]])
MATCHES = {(0, 0): 0, (0, 1): 1, (1, 0): 0}  # of the positive RoIs: the object
RNG = np.random.default_rng(0)
KEYPOINTS = np.concatenate(
    [RNG.uniform(3, (45, 30), (2, 3, 9, 2)), RNG.integers(0, 3, (2, 3, 9, 1))], axis=-1
)


def nd(*arrays):
    return [mx.nd.array(array, dtype="float32") for array in arrays]


def cell_of(point, roi):
    corner, sides = np.float32(roi[:2]), np.float32(roi[2:]) - np.float32(roi[:2])
    column, row = np.floor((np.float32(point[:2]) - corner) / sides * SIZE)
    inside = 0 <= column < SIZE and 0 <= row < SIZE and point[2] > 0
    return row * SIZE + column if inside else NOT_TRAINED


@pytest.mark.parametrize("rois", [None, 3])
def test_cells_are_the_objects_keypoints_in_the_positive_rois(rois):
    block = KeypointTargets(SIZE, rois)
    for _ in range(2):
        found, cells = block(*nd(ROIS, ROI_LABELS, BOXES, LABELS, KEYPOINTS))
        np.testing.assert_array_equal(found.asnumpy(), ROIS[:, :rois])
        expected = np.full((2, rois or 4, 9), NOT_TRAINED)
        for (image, row), match in MATCHES.items():
            for number, point in enumerate(KEYPOINTS[image, match]):
                expected[image, row, number] = cell_of(point, ROIS[image, row])
        np.testing.assert_array_equal(cells.asnumpy(), expected)
        assert (expected >= 0).sum() > 3
        block.hybridize()


def test_the_loss_is_the_mean_over_trained_keypoints():
    logits = RNG.normal(size=(6, 5, SIZE, SIZE)).astype("float32")
    cells = RNG.integers(-3, SIZE * SIZE, (2, 3, 5)).astype("float32")
    cells[:, 1] = -1
    losses = []
    for maps, of_maps in zip(logits.reshape(30, -1), cells.ravel()):
        if of_maps >= 0:
            losses.append(np.log(np.exp(maps).sum()) - maps[int(of_maps)])
    for weight in (1, 2.5):
        found = KeypointLoss(weight)(*nd(logits, cells))
        assert found.shape == (1,)
        assert found.asscalar() == pytest.approx(weight * np.mean(losses), rel=1e-5)


def test_without_trained_keypoints_the_loss_is_zero():
    logits = mx.nd.ones((2, 5, SIZE, SIZE))
    logits.attach_grad()
    with mx.autograd.record():
        loss = KeypointLoss()(logits, mx.nd.full((1, 2, 5), NOT_TRAINED))
    loss.backward()
    assert loss.asscalar() == 0
    assert not logits.grad.asnumpy().any()

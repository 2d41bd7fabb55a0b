"""MaskTargets against masks that numpy cuts out."""

import mxnet as mx
import numpy as np
import pytest

from detkit.targets import MaskTargets
from support import kernel_roi_oracles

MASKS = np.zeros((2, 3, 40, 50), "uint8")
MASKS[0, 0, 4:20, 6:30] = MASKS[0, 1, 10:38, 20:49] = MASKS[1, 0, 5:12, 5:40] = 1
MASKS[0, 0, 8:12, 10:20] = 0
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


def nd(*arrays):
    return [mx.nd.array(array, dtype="float32") for array in arrays]


def targets_of(block):
    masks = mx.nd.array(MASKS, dtype="uint8")
    return [a.asnumpy() for a in block(*nd(ROIS, ROI_LABELS, BOXES, LABELS), masks)]


@pytest.mark.parametrize("threshold", [None, 0.5, 0.9])
def test_targets_are_the_objects_masks_under_the_positive_rois(threshold):
    rois, classes, masks = targets_of(MaskTargets(7, 2, threshold))
    np.testing.assert_array_equal(rois, ROIS[:, :2])
    assert classes.tolist() == [[2, 0], [1, -1]]
    expected = kernel_roi_oracles.mask_target(
        MASKS, ROIS[:, :2].astype("float32"), np.array([[0, 1], [0, 0]]), 7
    )
    if threshold is not None:
        clear = np.abs(expected - threshold) > 1e-3
        np.testing.assert_array_equal(masks[clear], (expected >= threshold)[clear])
        assert set(np.unique(masks)) == {0, 1}
    else:
        np.testing.assert_allclose(masks, expected, atol=1e-5)
    assert 0.3 < masks[0].mean() < 1


@pytest.mark.parametrize("rois", [4, 9, None])
def test_no_more_rois_come_out_than_go_in(rois):
    found = targets_of(MaskTargets(3, rois))
    assert [a.shape for a in found] == [(2, 4, 4), (2, 4), (2, 4, 3, 3)]
    assert found[1].tolist() == [[2, 0, -1, -1], [1, -1, -1, -1]]


def test_targets_hybridized_are_those_of_the_plain_block():
    block = MaskTargets(7, 3)
    plain = targets_of(block)
    block.hybridize()
    for a, b in zip(plain, targets_of(block)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threshold", [0, 1.1])
def test_a_senseless_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match=f"^threshold: .* {threshold}"):
        MaskTargets(7, 3, threshold)

"""Masks under RoIs and in images, native and of the fallback, against kernels.h in numpy."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit import ops
from detkit.ops import backend
from support import kernel_cases as cases
from support import kernel_roi_oracles as oracles
from support.environment import BACKENDS

pytestmark = [pytest.mark.processor, pytest.mark.parametrize("operators", BACKENDS)]


@given(cases.masks_under_rois(), st.integers(1, 4))
@settings(max_examples=30)
def test_mask_target(operators, case, size):
    masks, rois, index = case
    masks_on, index_on = mx.nd.array(masks, dtype="uint8"), mx.nd.array(index, dtype="int32")
    with backend.using(operators):
        found = ops.mask_target(mx.nd, masks_on, mx.nd.array(rois), index_on, size)
    expected = oracles.mask_target(masks, rois, index, size)
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-3, atol=1e-3)


@given(cases.masks_under_rois(), cases.generators(), st.integers(1, 5))
@settings(max_examples=30)
def test_mask_paste(operators, case, rng, size):
    masks, rois, _ = case
    height, width = masks.shape[2:]
    probabilities = rng.random((3, size, size)).astype("float32")
    arrays = mx.nd.array(probabilities), mx.nd.array(rois[0])
    with backend.using(operators):
        found = ops.mask_paste(mx.nd, *arrays, height, width)
        pasted = ops.paste_masks(probabilities, rois[0], height, width)
    expected = oracles.mask_paste(probabilities, rois[0], height, width)
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(pasted, found.asnumpy())
    assert pasted.flags.writeable


def test_no_masks_to_paste(operators):
    nothing = np.zeros((0, 5, 5), np.float32), np.zeros((0, 4), np.float32)
    with backend.using(operators):
        assert ops.paste_masks(*nothing, 30, 40).shape == (0, 30, 40)

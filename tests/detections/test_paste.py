"""Masks pasted by numpy alone, against detkit's operators."""

import numpy as np
import pytest

from detkit.detections.paste import pasted
from detkit.ops import backend, paste_masks
from support.environment import BACKENDS


@pytest.mark.parametrize("operators", BACKENDS)
def test_the_masks_are_those_of_the_operators(operators):
    rng = np.random.default_rng(0)
    first = rng.uniform(-20, 60, (40, 2))
    boxes = np.hstack([first, first + rng.uniform(-5, 60, (40, 2))]).astype("float32")
    boxes[:3] = [np.nan] * 4, [-1e9, 3, 4, 1e9], [70, 70, 90, 90]
    masks = rng.random((40, 14, 14)).astype("float32")
    with backend.using(operators):
        expected = paste_masks(masks, boxes, 40, 60)
    found = pasted(masks, boxes, 40, 60)
    assert (expected.max(axis=(1, 2)) > 0).sum() > 20
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_no_masks():
    assert pasted(np.zeros((0, 5, 5)), np.zeros((0, 4)), 30, 40).shape == (0, 30, 40)

"""Refinement between the stages of a cascade, against numpy."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models import Refine
from support.cascades import WEIGHTS, refined_by_numpy


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("hybridized", [False, True])
def test_refinement_is_numpys(classes, hybridized):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (2, 7, 2))
    rois = np.concatenate([corners, corners + rng.uniform(1, 40, (2, 7, 2))], axis=2)
    rois[1, 5:] = 0
    logits, deltas = rng.normal(size=(14, 5)), rng.normal(size=(14, classes, 4)) * 3
    sizes = np.array([[60, 80], [64, 48]])
    refine = Refine(WEIGHTS[:2])
    if hybridized:
        refine.hybridize()
    for number in range(2):
        arrays = map(mx.nd.array, (rois, logits, deltas, sizes))
        found = refine[number](*arrays).asnumpy()
        for row, (h, w) in enumerate(sizes):
            part = slice(7 * row, 7 * row + 7)
            expected = refined_by_numpy(
                rois[row], logits[part], deltas[part], WEIGHTS[number], (h, w)
            )
            np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-3)
        assert (found[1, 5:] == 0).all()


def test_values_that_are_not_finite_make_no_box():
    rois = mx.nd.array([[[0, 0, 10, 10], [0, 0, 10, 10]]])
    deltas = mx.nd.array([[[np.nan, 0, 0, 0]], [[0, 0, 0, 0]]])
    found = Refine(WEIGHTS[:1])[0](rois, mx.nd.zeros((2, 3)), deltas, mx.nd.array([[20, 20]]))
    assert found.asnumpy()[0].tolist() == [[0, 0, 0, 10], [0, 0, 10, 10]]

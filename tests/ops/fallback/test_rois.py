"""The level that an RoI is pooled from, and the oracle of Precise RoI Pooling itself."""

import mxnet as mx
import numpy as np
import pytest

from detkit.ops import fallback
from support import kernel_roi_oracles as oracles


@pytest.mark.parametrize(
    "side, level",
    [(1, 2), (111.9, 2), (112, 3), (223.9, 3), (224, 4), (447, 4), (448, 5), (9e3, 5)],
)
def test_roi_levels(side, level):
    rois = np.array([[[10, 10, 10 + side, 10 + side]]], "float32")
    assert fallback.roi_levels(mx.nd, mx.nd.array(rois), 2, 5).asscalar() == level
    geometry = oracles.Geometry(7, [1 / 4, 1 / 8, 1 / 16, 1 / 32], first_level=2)
    assert oracles.level_of(geometry, rois[0, 0]) == level - 2
    # Sides that are so much longer for this change nothing where the RoI is so much smaller.
    smaller = np.maximum(rois - [0, 0, 0.5, 0.5], rois[..., :1]).astype("float32")
    assert fallback.roi_levels(mx.nd, mx.nd.array(smaller), 2, 5, margin=0.5).asscalar() == level
    assert oracles.level_of(geometry._replace(level_margin=0.5), smaller[0, 0]) == level - 2


def test_precise_cells_are_the_limit_of_many_samples():
    corners, size, height, width = (-0.7, 0.4, 3.1, 5.2), 2, 4, 3
    features = np.random.default_rng(0).normal(0, 1, (height, width))
    steps = (np.arange(200) + 0.5) / 200
    for row, column, (sample,) in oracles.precise_cells(corners, size, height, width):
        w, h = (corners[2] - corners[0]) / size, (corners[3] - corners[1]) / size
        ys, xs = corners[1] + (row + steps) * h, corners[0] + (column + steps) * w
        hats_y = np.maximum(1 - np.abs(ys[:, None] - np.arange(height)), 0)
        hats_x = np.maximum(1 - np.abs(xs[:, None] - np.arange(width)), 0)
        expected = (hats_y @ features @ hats_x.T).mean()
        found = sum(weight * features[y, x] for y, x, weight in sample)
        assert found == pytest.approx(expected, abs=1e-4)

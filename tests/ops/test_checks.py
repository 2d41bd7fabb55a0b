"""Arguments that would end the process are refused, whichever operators are used."""

import mxnet as mx
import numpy as np
import pytest

from detkit import ops
from detkit.ops import backend
from support.environment import BACKENDS
from support.tiny import module_of

BOXES, SCORES = mx.nd.array([[[0, 0, 9, 9], [1, 1, 8, 8]]]), mx.nd.array([[0.9, 0.8]])
MAP = mx.nd.ones((1, 2, 8, 8))


@pytest.mark.parametrize("name", BACKENDS)
def test_integers_and_numbers_that_are_none(name):
    whole = BOXES.astype("int64"), SCORES.astype("int64")
    with backend.using(name):
        with pytest.raises(ValueError, match="soft_nms: boxes: .*floating.* found int64"):
            ops.soft_nms(mx.nd, *whole, 5)
        with pytest.raises(ValueError, match="roi_align: stride: .*found nan"):
            ops.roi_align(mx.nd, MAP, BOXES, 2, float("nan"), 2, True)
        with pytest.raises(ValueError, match="roi_align: stride: .*found 1e"):
            ops.roi_align(mx.nd, MAP, BOXES, 2, 1e30, 2, True)
        with pytest.raises(ValueError, match="roi_pool: size: .*found 0"):
            ops.roi_pool(mx.nd, MAP, BOXES, 0, 8)
        with pytest.raises(ValueError, match="nms: iou: .*found inf"):
            ops.nms(mx.nd, BOXES, SCORES, float("inf"))
        with pytest.raises(ValueError, match="soft_nms: sigma: .*found 0"):
            ops.soft_nms(mx.nd, BOXES, SCORES, 5, "gaussian", sigma=0)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("pool", [ops.roi_pool, ops.prroi_pool, ops.crop_pool])
def test_maps_that_would_be_read_beyond_their_end(name, pool):
    two = mx.nd.concat(BOXES, BOXES, dim=0)
    with backend.using(name):
        for shape, rois, says in (
            ((0, 2, 8, 8), BOXES, r"1 images.* \(0, 2, 8, 8\)"),
            ((1, 2, 8, 8), two, r"2 images.* \(1, 2, 8, 8\)"),
            ((1, 2, 8, 0), BOXES, r"one column, found \(1, 2, 8, 0\)"),
            ((1, 2, 0, 8), BOXES, r"one row .*found \(1, 2, 0, 8\)"),
        ):
            maps = mx.nd.array(np.zeros(shape, "float32"))
            with pytest.raises(ValueError, match="features 0: expected .*" + says):
                pool(mx.nd, maps, rois, 2, 8)
            with pytest.raises(ValueError, match="features 0: expected .*" + says):
                ops.roi_align(mx.nd, maps, rois, 2, 8, 2, True)


@pytest.mark.parametrize("name", BACKENDS)
def test_some_hostile_calls(name):
    outcomes = []
    outcome = module_of("fuzz_calls").outcome
    with backend.using(name):
        for number in range(100):
            outcomes.append(outcome(np.random.default_rng([1, number])))
    assert set(outcomes) == {"result", "exception"}

"""Anchors against a loop over the cells."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit import ops
from detkit.models import AnchorGrid
from support.oracles import anchor_grid
from support.refusals import assert_refused


def anchors_of(grid, height, width, batch=1):
    (anchors,) = grid([mx.nd.zeros((batch, 2, height, width))])
    return anchors


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 8, 16]), st.sampled_from([0, 0.5]))
@settings(max_examples=15)
def test_grid(height, width, stride, offset):
    sizes, ratios = (16, 40), (0.5, 1, 3)
    grid = AnchorGrid(strides=[stride], sizes=sizes, ratios=ratios, offset=offset)
    grid.initialize()
    found = anchors_of(grid, height, width).asnumpy()
    expected = anchor_grid(height, width, stride, sizes, ratios, offset)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-5)


def test_one_block_serves_every_feature_size_hybridized():
    grid = AnchorGrid(strides=[16], sizes=[32], ratios=[1, 2])
    grid.initialize()
    grid.hybridize()
    for height, width, batch in ((1, 1, 1), (3, 5, 2), (5, 3, 1), (1, 9, 3)):
        found = anchors_of(grid, height, width, batch).asnumpy()
        assert found.shape == (1, height * width * 2, 4)
        expected = anchor_grid(height, width, 16, [32], [1, 2])
        np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_areas_and_ratios_are_those_asked_for():
    grid = AnchorGrid(strides=[16], sizes=(128, 256, 512), ratios=(0.5, 1, 2))
    (shapes,) = grid.shapes
    w, h = shapes[:, 2] - shapes[:, 0], shapes[:, 3] - shapes[:, 1]
    assert grid.per_cell == 9
    assert w * h == pytest.approx(np.tile([128**2, 256**2, 512**2], 3), rel=1e-5)
    assert h / w == pytest.approx(np.repeat([0.5, 1, 2], 3), rel=1e-5)


def test_rounded_is_what_torchvision_makes():
    # torchvision's AnchorGenerator(((32, 64),), ((0.5, 1.0),)).cell_anchors
    expected = [[-23, -11, 23, 11], [-45, -23, 45, 23], [-16, -16, 16, 16], [-32, -32, 32, 32]]
    grid = AnchorGrid(strides=[16], sizes=(32, 64), ratios=(0.5, 1.0), rounded=True)
    assert grid.shapes[0].tolist() == expected


def test_pixel_corners_are_what_py_faster_rcnn_and_gluoncv_make():
    # RPNAnchorGenerator(stride=8, base_size=16, ratios=(0.5, 1, 2), scales=(4, 8)), the first cell;
    # of stride 16 and scales 8, 16, 32 these are py-faster-rcnn's nine.
    expected = [
        *([-40, -20, 47, 27], [-84, -44, 91, 51]),
        *([-28, -28, 35, 35], [-60, -60, 67, 67]),
        *([-20, -44, 27, 51], [-44, -92, 51, 99]),
    ]
    grid = AnchorGrid(strides=[8], sizes=(64, 128), pixel_corners=True)
    grid.initialize()
    assert anchors_of(grid, 1, 2).asnumpy()[0, :6].tolist() == expected
    grid = AnchorGrid(strides=[16], sizes=(128, 256, 512), pixel_corners=True)
    grid.initialize()
    found = anchors_of(grid, 1, 1).asnumpy()[0]
    assert found[0].tolist() == [-84, -40, 99, 55]
    assert found[8].tolist() == [-168, -344, 183, 359]


def test_pixel_corners_are_rounded_already():
    with pytest.raises(ValueError, match="^rounded: .*pixel_corners"):
        AnchorGrid(strides=[8], rounded=True, pixel_corners=True)


def test_features_that_are_not_finite_do_not_matter():
    grid = AnchorGrid(strides=[16])
    grid.initialize()
    (found,) = grid([mx.nd.full((1, 2, 2, 2), np.nan)])
    assert np.isfinite(found.asnumpy()).all()


def test_levels_have_sizes_and_strides_of_their_own():
    grid = AnchorGrid(strides=[4, 8], sizes=[[8], [20]], ratios=(0.5, 2))
    grid.initialize()
    for hybridize in (False, True):
        grid.hybridize(hybridize)
        maps = [mx.nd.zeros((1, 2, 4, 6)), mx.nd.zeros((1, 2, 2, 3))]
        found = grid(maps)
        for level, stride, size, shape in zip(found, (4, 8), (8, 20), ((4, 6), (2, 3))):
            expected = anchor_grid(*shape, stride, [size], (0.5, 2))
            np.testing.assert_allclose(level.asnumpy()[0], expected, rtol=1e-5)


@pytest.mark.filterwarnings("error:.*HybridBlock:UserWarning")
@pytest.mark.parametrize("hybridized", [False, True])
def test_some_levels_may_have_no_anchors(hybridized):
    sides = (8, 4, 2)
    whole = AnchorGrid(strides=[4, 8, 16], sizes=[[8], [16], [32]])
    grids = [
        (AnchorGrid(strides=[4, 8, 16], sizes=[32], levels=[2]), [2]),
        (AnchorGrid(strides=[4, 8, 16], sizes=[[16], [32]], levels=[1, 2]), [1, 2]),
        (AnchorGrid(strides=[4, 8, 16], sizes=[[8], [16]], levels=2), [0, 1]),
    ]
    maps = [mx.nd.zeros((1, 2, side, side)) for side in sides]
    whole.initialize()
    expected = whole(maps)
    for grid, levels in grids:
        grid.initialize()
        grid.hybridize(hybridized)
        assert [level.shape for level in maps[grid.maps]] == [maps[n].shape for n in levels]
        found = grid(maps)
        assert len(found) == len(levels) == len(grid.shapes)
        for n, anchors in zip(levels, found):
            np.testing.assert_array_equal(anchors.asnumpy(), expected[n].asnumpy())


def test_levels_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"^levels: .* 0 to 1, .* \[2\]$"):
        AnchorGrid(strides=[4, 8], levels=[2])


def test_measured_strides_are_the_images_sides_by_the_maps():
    grid = AnchorGrid(strides=[64], sizes=[32], ratios=[1], offset=0, measured_strides=True)
    grid.initialize()
    (found,) = grid([mx.nd.zeros((1, 1, 13, 17))], mx.nd.zeros((1, 3, 800, 1088)))
    found = found.asnumpy()[0].reshape(13, 17, 4)
    assert found[1, 0, 1] - found[0, 0, 1] == 800 // 13
    assert found[0, 1, 0] - found[0, 0, 0] == 1088 // 17


@pytest.mark.parametrize("sizes", [[[32], [64]], [[32, 64], [128], [256]], [[32], 64, [1]]])
def test_sizes_that_do_not_fit_the_levels_are_refused(sizes):
    assert_refused(partial(AnchorGrid, strides=[4, 8, 16]), "3 levels", sizes=sizes)


def test_grid_shifts_run_along_x_first():
    shifts = ops.grid_shifts(mx.nd, mx.nd.zeros((1, 1, 2, 3)), offset=0.5).asnumpy()
    assert shifts[0, :, 0].tolist() == [0.5, 1.5, 2.5, 0.5, 1.5, 2.5]
    assert shifts[0, :, 1].tolist() == [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]
    assert (shifts[..., 2:] == shifts[..., :2]).all()


@pytest.mark.parametrize(
    "wrong", [{"sizes": []}, {"ratios": []}, {"sizes": [0]}, {"ratios": [1, -1]}]
)
def test_sizes_and_ratios_are_above_zero(wrong):
    assert_refused(partial(AnchorGrid, strides=[16]), "above 0", **wrong)

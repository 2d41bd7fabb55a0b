"""RoI extractors: which levels an RoI is pooled from, and what becomes of several."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models import CropPool, PrRoIPool, RoIAlign, RoIPool
from support import oracles
from support.refusals import assert_refused

STRIDES, CHANNELS = (4, 8, 16), 3
BOXES = np.array([[2, 3, 12, 14], [0, 0, 60, 47], [20, 8, 47, 30]], "float32")
EXTRACTORS = [CropPool, PrRoIPool, RoIAlign, RoIPool]


def pyramid():
    """Maps of two images, 64 x 48 pixels."""
    rng = np.random.RandomState(0)
    return [
        mx.nd.array(rng.standard_normal((2, CHANNELS, 48 // stride, 64 // stride)))
        for stride in STRIDES
    ]


def rois():
    return mx.nd.array(np.stack([BOXES, BOXES[::-1]]))


def aligned(number):
    """RoIAlign of the RoIs of both images from one map, in numpy."""
    maps = pyramid()[number].asnumpy()
    rows = zip(np.repeat(maps, len(BOXES), axis=0), rois().asnumpy().reshape(-1, 4))
    return np.stack([oracles.roi_align(x, box, 2, STRIDES[number], 2, True) for x, box in rows])


COMBINED = {
    "sum": lambda levels: np.sum(levels, axis=0),
    "max": lambda levels: np.max(levels, axis=0),
    "concat": lambda levels: np.concatenate(levels, axis=1),
}


@pytest.mark.filterwarnings("error:.*HybridBlock:UserWarning")
@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(
    ("levels", "chosen"), [(None, [0, 1, 2]), (2, [0, 1]), ([1], [1]), ([1, 2], [1, 2])]
)
@pytest.mark.parametrize("combine", COMBINED)
def test_an_roi_from_all_levels(combine, levels, chosen, hybridized):
    extractor = RoIAlign(STRIDES, CHANNELS, 2, levels=levels, combine=combine)
    if hybridized:
        extractor.hybridize()
    found = extractor(pyramid(), rois()).asnumpy()
    expected = COMBINED[combine]([aligned(number) for number in chosen])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.shape[1] == extractor.channels


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_roi_from_one_level(number):
    extractor = RoIAlign(STRIDES, CHANNELS, 2, levels=[number])
    found = extractor(pyramid(), rois()).asnumpy()
    np.testing.assert_allclose(found, aligned(number), rtol=1e-4, atol=1e-5)


def test_levels_keep_their_numbers():
    """The third map is P4, whether or not P2 is pooled from: this RoI belongs to it."""
    box = mx.nd.array([[[4, 4, 20, 20]]] * 2)
    canonical = {"canonical_level": 4, "canonical_size": 16}
    found = [
        RoIAlign(STRIDES, CHANNELS, 2, levels=levels, **canonical)(pyramid(), box).asnumpy()
        for levels in (None, [1, 2], [2])
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_every_extractor_adds_levels_up_and_sends_gradients_to_all(kind):
    extractor = kind(STRIDES, CHANNELS, 2, combine="sum")
    extractor.hybridize()
    maps = pyramid()
    for level in maps:
        level.attach_grad()
    with autograd.record():
        total = extractor(maps, rois())
    total.backward()
    alone = sum(kind(STRIDES, CHANNELS, 2, levels=[n])(maps, rois()) for n in range(3))
    np.testing.assert_allclose(total.asnumpy(), alone.asnumpy(), rtol=1e-5, atol=1e-5)
    assert all(np.abs(level.grad.asnumpy()).max() > 0 for level in maps)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"size": 0}, "at least 1"),
        ({"levels": 0}, "1 to 3"),
        ({"levels": 4}, "1 to 3"),
        ({"levels": []}, "0 to 2"),
        ({"levels": [0, 2]}, "0 to 2"),
        ({"levels": [3]}, "0 to 2"),
        ({"levels": [-1, 0]}, "0 to 2"),
        ({"combine": "mean"}, "'sum', 'max', 'concat'"),
        ({"mode": "sum"}, "'average' or 'max'"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(partial(RoIPool, STRIDES, CHANNELS), expected, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sampling": 0}, "^sampling: .*at least 1 or null.* 0;"),
        ({"sampling": None, "mode": "max"}, "^sampling: .*at least 1 .* null$"),
        ({"mode": "sum"}, "^mode: .* 'sum'$"),
    ],
)
def test_arguments_of_roi_align_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        RoIAlign(STRIDES, CHANNELS, **wrong)


def test_the_level_may_be_that_of_longer_sides():
    box = mx.nd.array([[[4, 4, 19.5, 19.5]]] * 2)  # P4 from 16 pixels on
    canonical = {"canonical_level": 4, "canonical_size": 16}
    for margin, number in ((0, 1), (0.4, 1), (1, 2)):
        extractor = RoIAlign(STRIDES, CHANNELS, 2, **canonical, level_margin=margin)
        alone = RoIAlign(STRIDES, CHANNELS, 2, levels=[number])
        found, expected = (one(pyramid(), box).asnumpy() for one in (extractor, alone))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

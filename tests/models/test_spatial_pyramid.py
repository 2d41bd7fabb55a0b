"""Spatial pyramid pooling against the paper's formulas, written out in numpy."""

import math
from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models import SPP
from detkit.ops import backend
from support.environment import BACKENDS
from support.refusals import assert_refused

STRIDES, CHANNELS, BINS, CELLS = (6.4, 8, 16), 2, (1, 2, 3, 6), 4
SIZE = (96, 128)  # h, w of the images in pixels
RANDOM = np.random.RandomState(0).uniform(-8, 120, (40, 2, 2))
BOXES = np.array(
    [
        [0, 0, 128, 96],  # the whole image
        [16, 32, 48, 64],  # on the borders of cells
        [17, 33, 31, 47],  # within a cell of the largest stride
        [50, 50, 50, 50],  # without a side
        [-40, -30, 9, 200],
        [200, 200, 300, 300],  # beyond the map
        [60, 60, 20, 20],  # inverted
        *np.concatenate([RANDOM.min(axis=1), RANDOM.max(axis=1)], axis=1),
    ],
    "float32",
)
NO_NUMBERS = np.array([[np.nan, 8, 40, 50], [np.inf, -np.inf, 40, 50]], "float32")


def pyramid():
    """Maps of two images. Many cells are equal, so that the first of them is told apart."""
    rng = np.random.RandomState(1)
    sides = [(math.ceil(SIZE[0] / s), math.ceil(SIZE[1] / s)) for s in STRIDES]
    return [rng.randint(-9, 9, (2, CHANNELS, *side)).astype("float32") for side in sides]


def map_of(box, strides=STRIDES):
    """Section 4.1: the scale at which the number of pixels is the nearest to 224 x 224."""
    x1, y1, x2, y2 = map(float, box)
    area = max(x2 - x1, 0) * max(y2 - y1, 0)
    return int(np.argmin([abs(area / stride**2 - CELLS**2) for stride in strides]))


def window(first, last, stride, cells):
    """Appendix A, along one side: the first cell and the one after the last."""
    left = min(max(math.floor(first / stride) + 1, 0), cells - 1)
    right = min(max(math.ceil(last / stride) - 1, 0), cells - 1)
    return left, max(left, right) + 1


def bins_of(box, features, stride):
    """Yields (channel, rows, columns) of the bins, in the order of the output."""
    x1, y1, x2, y2 = map(float, box)
    left, right = window(x1, x2, stride, features.shape[2])
    top, bottom = window(y1, y2, stride, features.shape[1])
    a, b = bottom - top, right - left
    for n in BINS:
        for channel, i, j in np.ndindex(len(features), n, n):
            rows = range(top + i * a // n, top - (-(i + 1) * a // n))
            yield channel, rows, range(left + j * b // n, left - (-(j + 1) * b // n))


def oracle(maps, rois, grads):
    """The output (B * R, C * 50) and the gradients of the maps."""
    out, passed = np.zeros(grads.shape), [np.zeros(each.shape) for each in maps]
    for row, (image, r) in enumerate(np.ndindex(rois.shape[:2])):
        box = np.where(np.isfinite(rois[image, r]), rois[image, r], 0)
        number = map_of(box)
        features = maps[number][image]
        for bin_, (c, rows, columns) in enumerate(bins_of(box, features, STRIDES[number])):
            cells = [(y, x) for y in rows for x in columns]
            y, x = max(cells, key=lambda at: features[c][at])  # the first of equal ones
            out[row, bin_] = features[c, y, x]
            passed[number][image, c, y, x] += grads[row, bin_]
    return out, passed


@pytest.mark.processor
@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("operators", BACKENDS)
def test_values_and_gradients_are_the_papers(operators, hybridized):
    boxes = np.concatenate([BOXES, NO_NUMBERS])
    rois = np.stack([boxes, boxes[::-1]])
    assert {map_of(box) for box in BOXES} == {0, 1, 2}
    maps = [mx.nd.array(each) for each in pyramid()]
    grads = np.random.RandomState(2).standard_normal((2 * len(boxes), 50 * CHANNELS))
    for each in maps:
        each.attach_grad()
    extractor = SPP(STRIDES, CHANNELS, BINS, canonical_cells=CELLS)
    extractor.hybridize(hybridized)
    with backend.using(operators), autograd.record():
        found = extractor(maps, mx.nd.array(rois))
    found.backward(mx.nd.array(grads.reshape(found.shape)))
    expected, passed = oracle(pyramid(), rois, grads)
    assert found.shape == (len(expected), extractor.channels, extractor.size, extractor.size)
    np.testing.assert_array_equal(found.asnumpy().reshape(expected.shape), expected)
    for each, gradient in zip(maps, passed):
        np.testing.assert_allclose(each.grad.asnumpy(), gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operators", BACKENDS)
def test_six_bins_cover_what_the_paper_says_on_windows_of_every_size(operators):
    """On a map that counts its columns, the maximum of a bin is its last column."""
    columns = np.arange(200, dtype="float32").reshape(1, 1, 1, -1)
    boxes = [[-1, 0, 16 * (side + 1), 16] for side in range(200)]  # columns 0 to side
    with backend.using(operators):
        extractor = SPP([16], 1, bins=(3, 6))
        found = extractor([mx.nd.array(columns)], mx.nd.array([boxes])).asnumpy()
    for side, row in enumerate(found.reshape(200, -1)):
        for n, bins in ((3, row[:9]), (6, row[9:])):
            last = [-(-(i + 1) * (side + 1) // n) - 1 for i in range(n)]
            np.testing.assert_array_equal(bins.reshape(n, n), np.tile(last, (n, 1)))


def test_the_default_is_the_scale_of_224_pixels():
    """Of an image in five sizes, each RoI is pooled from the one where it has 224 x 224 pixels."""
    scales = (1200, 864, 688, 576, 480)
    strides = [16 * 480 / short for short in scales]
    maps = [mx.nd.ones((1, 1, 8, 8)) * number for number in range(5)]
    sides = np.array([224 * 480 / short for short in scales])
    boxes = np.stack([0 * sides, 0 * sides, sides * 2, sides / 2], axis=1)  # of that area
    found = SPP(strides, 1)(maps, mx.nd.array(boxes[None])).asnumpy()
    np.testing.assert_array_equal(found[:, :, 0, 0], np.repeat(np.arange(5)[:, None], 50, axis=1))


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"bins": []}, "from 1 on"),
        ({"bins": [1, 0]}, "from 1 on"),
        ({"canonical_cells": 0}, "above 0"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(partial(SPP, STRIDES, CHANNELS), expected, **wrong)

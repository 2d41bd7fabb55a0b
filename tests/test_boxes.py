"""Functions on boxes against loops in float64."""

import math

import mxnet as mx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detkit import boxes
from support.oracles import area, clip, decode, encode, iou_matrix

WEIGHTS = [(1, 1, 1, 1), (10, 10, 5, 5)]


def rows(count, low=-20, high=40):
    """(count, 4) float32 on a coarse grid: many are equal, empty or turned inside out."""
    numbers = st.integers(low, high).map(lambda n: n / 4)
    return arrays("float32", st.tuples(st.integers(1, count), st.just(4)), elements=numbers)


def solid(count):
    """(count, 4) float32 boxes with an area."""
    return rows(count, 1, 400).map(lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1))


@given(rows(6))
def test_area_of_an_inverted_box_is_zero(array):
    actual = boxes.area(mx.nd, mx.nd.array(array)).asnumpy()
    assert actual[:, 0] == pytest.approx([area(box) for box in array])


@given(rows(5), rows(5))
def test_iou(array, others):
    actual = boxes.iou(mx.nd, mx.nd.array(array[None]), mx.nd.array(others[None])).asnumpy()
    np.testing.assert_allclose(actual[0], iou_matrix(array, others), rtol=1e-6, atol=1e-7)


def test_iou_of_one_list_with_each_images_objects():
    rng = np.random.default_rng(0)
    anchors, objects = rng.uniform(0, 9, (1, 7, 4)), rng.uniform(0, 9, (3, 2, 4))
    anchors[..., 2:] += anchors[..., :2]
    objects[..., 2:] += objects[..., :2]
    actual = boxes.iou(mx.nd, mx.nd.array(anchors), mx.nd.array(objects)).asnumpy()
    assert actual.shape == (3, 7, 2)
    for row, theirs in zip(actual, objects):
        np.testing.assert_allclose(row, iou_matrix(anchors[0], theirs), rtol=1e-5, atol=1e-6)


@given(solid(6))
def test_iou_with_itself_is_exactly_one(array):
    array = mx.nd.array(array[None])
    assert (np.diag(boxes.iou(mx.nd, array, array).asnumpy()[0]) == 1).all()


@given(rows(6), st.integers(1, 12), st.integers(1, 12))
def test_clip(array, h, w):
    sizes = mx.nd.array([[h, w], [w, h]])
    actual = boxes.clip(mx.nd, mx.nd.array(np.stack([array, array])), sizes).asnumpy()
    assert actual[0].tolist() == [clip(box, (h, w)) for box in array]
    assert actual[1].tolist() == [clip(box, (w, h)) for box in array]


@pytest.mark.parametrize("weights", WEIGHTS)
@given(data=st.data())
def test_encode(weights, data):
    array, anchors = data.draw(solid(4)), data.draw(solid(4))
    count = min(len(array), len(anchors))
    array, anchors = array[:count], anchors[:count]
    actual = boxes.encode(mx.nd, mx.nd.array(array), mx.nd.array(anchors), weights).asnumpy()
    expected = [encode(box, anchor, weights) for box, anchor in zip(array, anchors)]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@given(rows(4), rows(4))
def test_encode_is_finite_whatever_the_boxes(array, anchors):
    count = min(len(array), len(anchors))
    array, anchors = mx.nd.array(array[:count]), mx.nd.array(anchors[:count])
    assert np.isfinite(boxes.encode(mx.nd, array, anchors, WEIGHTS[1]).asnumpy()).all()


@pytest.mark.parametrize("weights", WEIGHTS)
@given(data=st.data())
def test_decode(weights, data):
    anchors = data.draw(solid(4))
    deltas = data.draw(arrays("float32", anchors.shape, elements=st.floats(-8, 8, width=32)))
    actual = boxes.decode(mx.nd, mx.nd.array(deltas), mx.nd.array(anchors), weights).asnumpy()
    expected = np.array([decode(d, anchor, weights) for d, anchor in zip(deltas, anchors)])
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("weights", WEIGHTS)
@given(data=st.data())
def test_decode_inverts_encode(weights, data):
    array, anchors = data.draw(solid(4)), data.draw(solid(4))
    count = min(len(array), len(anchors))
    array, anchors = array[:count], anchors[:count]
    sides, anchor_sides = array[:, 2:] - array[:, :2], anchors[:, 2:] - anchors[:, :2]
    assume((sides < 60 * anchor_sides).all())  # beyond, decode clamps
    deltas = boxes.encode(mx.nd, mx.nd.array(array), mx.nd.array(anchors), weights)
    actual = boxes.decode(mx.nd, deltas, mx.nd.array(anchors), weights).asnumpy()
    np.testing.assert_allclose(actual, array, rtol=1e-4, atol=2e-3)


def test_decode_clamps_the_scale():
    deltas = mx.nd.array([[0, 0, 100, math.inf]])
    actual = boxes.decode(mx.nd, deltas, mx.nd.array([[0, 0, 16, 8]]), WEIGHTS[0]).asnumpy()
    assert actual[0] == pytest.approx([8 - 500, 4 - 250, 8 + 500, 4 + 250], rel=1e-5)


def test_deltas_broadcast_over_classes():
    deltas = np.random.default_rng(0).normal(0, 1, (2, 5, 3, 4)).astype("float32")
    anchors = np.array([[0, 0, 8, 8], [4, 4, 9, 20], [0, 1, 2, 3], [5, 5, 6, 6], [1, 1, 9, 3]])
    anchors = np.broadcast_to(anchors[None, :, None], (2, 5, 1, 4))
    actual = boxes.decode(mx.nd, mx.nd.array(deltas), mx.nd.array(anchors), WEIGHTS[0]).asnumpy()
    for index in np.ndindex(2, 5, 3):
        expected = decode(deltas[index], anchors[index[0], index[1], 0])
        np.testing.assert_allclose(actual[index], expected, rtol=1e-4, atol=1e-4)

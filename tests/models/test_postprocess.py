"""Postprocess against a loop: softmax, decode, clip, score floor, NMS by class."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit.models import Postprocess
from support.oracles import detections
from support.refusals import assert_refused

SIZES = ((40, 50), (30, 33))
WEIGHTS = (10, 10, 5, 5)


def postprocess(rois, scores, logits, deltas, sizes=SIZES, hybridized=False, **options):
    block = Postprocess(**options)
    if hybridized:
        block.hybridize()
    flat = logits.reshape(-1, logits.shape[-1]), deltas.reshape(-1, *deltas.shape[2:])
    inputs = [mx.nd.array(array) for array in (rois, scores, *flat, sizes)]
    return [array.asnumpy() for array in block(*inputs)]


def outputs(seed, rois=6, classes=3, boxes=3):
    """rois (2, R, 4), scores (2, R), logits (2, R, 1 + K), deltas (2, R, K or 1, 4)."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 25, (2, rois, 2))
    arrays = (
        np.concatenate([corners, corners + rng.uniform(1, 20, (2, rois, 2))], axis=2),
        rng.random((2, rois)),
        rng.normal(0, 2, (2, rois, 1 + classes)),
        rng.normal(0, 2, (2, rois, boxes, 4)),
    )
    return [array.astype("float32") for array in arrays]


def check(found, row, rois, logits, deltas, size, floor, threshold, count):
    boxes, scores, labels = (array[row] for array in found)
    expected = detections(rois, logits, deltas, size, floor, threshold, count, WEIGHTS)
    n = len(expected[0])
    np.testing.assert_allclose(boxes[:n], expected[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores[:n], expected[1], rtol=1e-4)
    assert labels[:n].tolist() == expected[2].tolist()
    assert (boxes[n:] == 0).all()
    assert (scores[n:] == -1).all()
    assert (labels[n:] == -1).all()


@pytest.mark.parametrize("agnostic", [False, True])
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 4)),
    real=st.integers(0, 8),
    floor=st.sampled_from([0.0, 0.05, 0.4]),
    threshold=st.sampled_from([0.1, 0.5]),
    count=st.sampled_from([1, 4, 100]),
    hybridized=st.booleans(),
)
def test_postprocess(agnostic, seed, shape, real, floor, threshold, count, hybridized):
    rois, classes = shape
    boxes, scores, logits, deltas = outputs(seed, rois, classes, 1 if agnostic else classes)
    scores[0, real:] = -1
    boxes[0, real:] = 0
    found = postprocess(
        boxes,
        scores,
        logits,
        deltas,
        hybridized=hybridized,
        score_floor=floor,
        nms_iou=threshold,
        max_detections=count,
    )
    assert found[0].shape == (2, min(count, rois * classes), 4)
    for row, size in enumerate(SIZES):
        kept = scores[row] >= 0
        image = boxes[row, kept], logits[row, kept], deltas[row, kept], size
        check(found, row, *image, floor, threshold, count)


def test_boxes_of_different_classes_do_not_suppress_each_other():
    rois = np.array([[[5, 5, 20, 20]]], "float32")
    logits = np.array([[[0, 2, 2]]], "float32")
    found = postprocess(rois, np.ones((1, 1)), logits, np.zeros((1, 1, 2, 4)), sizes=[[30, 30]])
    assert sorted(found[2][0]) == [0, 1]
    np.testing.assert_allclose(found[0][0], [rois[0, 0]] * 2, rtol=1e-5)


def test_logits_and_deltas_that_are_not_finite_make_no_detection():
    boxes, scores, logits, deltas = outputs(1)
    logits[0, 0, 1] = np.nan
    logits[0, 1, 0] = np.inf
    deltas[0, 2, :, 0] = np.nan
    deltas[0, 3, :, 1] = -np.inf
    found = postprocess(boxes, scores, logits, deltas)
    assert all(np.isfinite(array).all() for array in found)
    check(found, 0, boxes[0, 4:], logits[0, 4:], deltas[0, 4:], SIZES[0], 0.05, 0.5, 100)
    check(found, 1, boxes[1], logits[1], deltas[1], SIZES[1], 0.05, 0.5, 100)


def test_boxes_outside_the_image_are_no_detections():
    boxes, scores, logits, deltas = outputs(2)
    boxes[0] += 100
    deltas[0] = 0
    found = postprocess(boxes, scores, logits, deltas)
    assert (found[1][0] == -1).all()
    assert (found[1][1] > 0).any()


def test_large_logits_do_not_overflow():
    rois = np.array([[[5, 5, 20, 20]]], "float32")
    logits = np.array([[[-1e4, 1e4, 0]]], "float32")
    found = postprocess(rois, np.ones((1, 1)), logits, np.zeros((1, 1, 1, 4)), sizes=[[30, 30]])
    assert found[1].tolist() == [[1, -1]]


@pytest.mark.parametrize(
    "wrong", [{"max_detections": 0}, {"pre_nms": 0}, {"nms_iou": 0}, {"nms_iou": 1.5}]
)
def test_arguments_are_checked(wrong):
    assert_refused(Postprocess, **wrong)


def test_boxes_may_reach_beyond_the_image_or_have_no_area():
    rois = np.array([[[-5, 5, 20, 70], [100, 5, 120, 20], [5, 9, 5, 20]]], "float32")
    logits = np.array([[[0, 9], [0, 8], [0, 7]]], "float32")
    arguments = rois, np.ones((1, 3)), logits, np.zeros((1, 3, 1, 4))
    cut = postprocess(*arguments, sizes=[[30, 40]])
    assert cut[0][0].tolist() == [[0, 5, 20, 30], [0, 0, 0, 0], [0, 0, 0, 0]]
    whole = postprocess(*arguments, sizes=[[30, 40]], clip=False, min_side=0)
    np.testing.assert_array_equal(whole[0], rois)


@pytest.mark.parametrize("most", [1.0, 4.42])
def test_the_largest_scale(most):
    rois = np.array([[[100, 100, 110, 120]]], "float32")
    deltas = np.full((1, 1, 1, 4), 50, "float32") * [0, 0, 1, 1]
    found = postprocess(
        rois,
        np.ones((1, 1)),
        np.array([[[0, 9]]]),
        deltas,
        sizes=[[5000, 5000]],
        clip=False,
        max_log_scale=most,
    )
    sides = found[0][0, 0, 2:] - found[0][0, 0, :2]
    np.testing.assert_allclose(sides, [10 * np.exp(most), 20 * np.exp(most)], rtol=1e-4)

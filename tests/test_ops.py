"""Operators against loops: NMS, RoIAlign, RoIPool, rows of padded arrays."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mxnet import autograd
from oracles import nms, roi_align, roi_pool

from detkit import ops

AWKWARD = [
    [0, 0, 0, 0],
    [5, 5, 5, 30],
    [20, 20, 4, 4],
    [-50, -50, -40, -40],
    [500, 500, 600, 600],
    [-100, -100, 200, 200],
    [np.nan, 0, 9, 9],
    [np.inf, 0, 9, 9],
    [-np.inf, -np.inf, np.inf, np.inf],
]


@st.composite
def crowds(draw):
    """(N, 4) boxes on whole pixels, scores with ties and rows to be left out, (N,) labels."""
    count = draw(st.integers(1, 14))
    corners = draw(arrays("int32", (count, 2), elements=st.integers(0, 6)))
    sides = draw(arrays("int32", (count, 2), elements=st.integers(0, 6)))
    scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, -1.0, np.nan, np.inf, -np.inf])
    return (
        np.concatenate([corners, corners + sides], axis=1).astype("float32"),
        np.array(draw(st.lists(scores, min_size=count, max_size=count)), "float32"),
        draw(arrays("int32", count, elements=st.integers(0, 2))).astype("float32"),
    )


@given(
    st.lists(crowds(), min_size=1, max_size=2),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from([-1, 1, 3, 100]),
    st.sampled_from([-1, 1, 3, 100]),
    st.booleans(),
)
def test_nms(images, threshold, top_k_in, top_k_out, by_label):
    count = min(len(boxes) for boxes, _, _ in images)
    images = [[array[:count] for array in image] for image in images]
    boxes, scores, labels = (mx.nd.array(np.stack(arrays)) for arrays in zip(*images))
    found = ops.nms(
        mx.nd, boxes, scores, threshold, top_k_in, top_k_out, labels if by_label else None
    )
    found = [array.asnumpy() for array in found]
    rows = count if top_k_out < 0 else min(count, top_k_out)
    assert [array.shape for array in found] == [(len(images), rows, 4)] + [(len(images), rows)] * 2
    for image, kept_boxes, kept_scores, kept_labels in zip(images, *found):
        boxes, scores, labels = image
        kept = nms(boxes, scores, threshold, top_k_in, top_k_out, labels if by_label else None)
        n = len(kept)
        assert kept_scores[:n].tolist() == scores[kept].tolist()
        assert kept_boxes[:n].tolist() == boxes[kept].tolist()
        if by_label:
            assert kept_labels[:n].tolist() == labels[kept].tolist()
        assert (kept_boxes[n:] == 0).all()
        assert (kept_scores[n:] == -1).all()
        assert (kept_labels[n:] == -1).all()


def test_nms_at_exactly_the_threshold_keeps():
    boxes = mx.nd.array([[[0, 0, 2, 1], [0, 0, 1, 1]]])  # IoU 1 / 2
    scores = mx.nd.array([[0.9, 0.8]])
    assert (ops.nms(mx.nd, boxes, scores, 0.5)[1].asnumpy() > 0).all()
    assert (ops.nms(mx.nd, boxes, scores, 0.49)[1].asnumpy()[0] > 0).tolist() == [True, False]


@st.composite
def pooled(draw):
    """features (2, 2, H, W), rois (2, R, 4), size, stride; corners on eighths of a cell."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    seed = draw(st.integers(0, 2**31))
    features = np.random.default_rng(seed).normal(0, 1, (2, 2, height, width)).astype("float32")
    stride = draw(st.sampled_from([1, 4, 16]))
    corners = arrays("int32", (2, 3, 2), elements=st.integers(-16, 64))
    sides = arrays("int32", (2, 3, 2), elements=st.integers(1, 48))
    begin = draw(corners)
    rois = np.concatenate([begin, begin + draw(sides)], axis=2) * stride / 8
    return features, rois.astype("float32"), draw(st.integers(1, 3)), stride


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling", [0, 1, 2])
@given(case=pooled())
def test_roi_align(aligned, sampling, case):
    features, rois, size, stride = case
    found = ops.roi_align(
        mx.nd, mx.nd.array(features), mx.nd.array(rois), size, stride, sampling, aligned
    )
    expected = [
        roi_align(maps, roi, size, stride, sampling, aligned)
        for maps, theirs in zip(features, rois)
        for roi in theirs
    ]
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-4, atol=1e-4)


@given(pooled())
def test_roi_pool(case):
    features, rois, size, stride = case
    found = ops.roi_pool(mx.nd, mx.nd.array(features), mx.nd.array(rois), size, stride)
    expected = [
        roi_pool(maps, roi, size, stride) for maps, theirs in zip(features, rois) for roi in theirs
    ]
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling", [0, 2])
def test_roi_align_of_awkward_rois_leaves_the_others_alone(aligned, sampling):
    features = np.random.default_rng(0).normal(0, 1, (2, 2, 5, 6)).astype("float32")
    good = [3, 4, 60, 70]
    rois = np.array([[*AWKWARD, good], [good, *AWKWARD]], "float32")
    found = ops.roi_align(
        mx.nd, mx.nd.array(features), mx.nd.array(rois), 3, 16, sampling, aligned
    ).asnumpy()
    assert np.isfinite(found).all()
    for row, maps in ((len(AWKWARD), features[0]), (len(AWKWARD) + 1, features[1])):
        expected = roi_align(maps, good, 3, 16, sampling, aligned)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_roi_pool_of_awkward_rois_leaves_the_others_alone():
    features = np.random.default_rng(0).normal(0, 1, (2, 2, 5, 6)).astype("float32")
    good = [3, 4, 60, 70]
    rois = np.array([[*AWKWARD, good], [good, *AWKWARD]], "float32")
    found = ops.roi_pool(mx.nd, mx.nd.array(features), mx.nd.array(rois), 3, 16).asnumpy()
    assert np.isfinite(found).all()
    for row, maps in ((len(AWKWARD), features[0]), (len(AWKWARD) + 1, features[1])):
        np.testing.assert_allclose(found[row], roi_pool(maps, good, 3, 16), rtol=1e-6)


@pytest.mark.parametrize("operator", ["align", "pool"])
def test_gradient_of_roi_operators_by_finite_differences(operator):
    rng = np.random.default_rng(0)
    # Values one tenth apart, so that a step of 0.01 does not change which is the maximum.
    values = rng.permutation(2 * 2 * 4 * 5).reshape(2, 2, 4, 5) / 10
    rois = mx.nd.array([[[0, 0, 20, 30], [8, 3, 39, 31]], [[-5, 4, 17, 50], [30, 20, 31, 21]]])
    weights = mx.nd.array(rng.normal(0, 1, (4, 2, 2, 2)))

    def pooled_sum(features):
        if operator == "align":
            out = ops.roi_align(mx.nd, features, rois, 2, 8, 2, True)
        else:
            out = ops.roi_pool(mx.nd, features, rois, 2, 8)
        return (out * weights).sum()

    features = mx.nd.array(values)
    features.attach_grad()
    with autograd.record():
        total = pooled_sum(features)
    total.backward()
    expected = np.zeros_like(values)
    for index in np.ndindex(*values.shape):
        step = np.zeros_like(values)
        step[index] = 0.01
        higher, lower = (pooled_sum(mx.nd.array(values + s)).asscalar() for s in (step, -step))
        expected[index] = (higher - lower) / 0.02
    np.testing.assert_allclose(features.grad.asnumpy(), expected, atol=2e-3)


@given(
    arrays("float32", (2, 3, 4), elements=st.floats(-9, 9, width=32)),
    arrays("int32", (2, 5), elements=st.integers(0, 2)),
)
def test_gather_rows(data, index):
    found = ops.gather_rows(mx.nd, mx.nd.array(data), mx.nd.array(index)).asnumpy()
    assert found.tolist() == [array[i].tolist() for array, i in zip(data, index)]


def test_finite():
    data = np.array([1, np.nan, -np.inf, 3.4e38, np.inf, -2], "float32")
    found = ops.finite(mx.nd, mx.nd.array(data), -7).asnumpy()
    np.testing.assert_array_equal(found, np.array([1, -7, -7, 3.4e38, -7, -2], "float32"))


@pytest.mark.parametrize("sizes", [[(3, 4), (1, 1)], [(2, 3), (0, 0)]])
def test_valid_area(sizes):
    found = ops.valid_area(mx.nd, mx.nd.ones((2, 5, 3, 4)), mx.nd.array(sizes)).asnumpy()
    expected = np.zeros((2, 1, 3, 4))
    for row, (h, w) in enumerate(sizes):
        expected[row, 0, :h, :w] = 1
    np.testing.assert_array_equal(found, expected)

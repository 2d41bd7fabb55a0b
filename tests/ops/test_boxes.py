"""NMS, proposals and matching, detkit's own and made of MXNet's, against kernels.h in numpy."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit import ops
from detkit.ops import backend
from support import kernel_cases as cases
from support import kernel_oracles as oracles
from support.environment import BACKENDS

pytestmark = [pytest.mark.processor, pytest.mark.parametrize("operators", BACKENDS)]
COUNTS = st.sampled_from([-1, 1, 3, 20, 100])


def on_device(array):
    return None if array is None else mx.nd.array(array)


def numpy(arrays):
    return [array.asnumpy() for array in arrays]


def assert_same(found, expected, **tolerance):
    for name, a, b in zip(expected._fields, numpy(found), expected):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, err_msg=name, **tolerance)


@given(cases.crowds(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), COUNTS, COUNTS, st.booleans())
def test_nms(operators, crowd, threshold, top_k_in, top_k_out, by_label):
    boxes, scores, labels = crowd
    rows = boxes, scores, labels if by_label else None
    on = [on_device(array) for array in rows]
    with backend.using(operators):
        found = ops.nms(mx.nd, *on[:2], threshold, top_k_in, top_k_out, labels=on[2])
    assert_same(found, oracles.nms(*rows, threshold, top_k_in, top_k_out), rtol=0)


@pytest.mark.parametrize("mode", ["linear", "gaussian"])
@given(
    case=cases.crowds(12),
    threshold=st.sampled_from([0.0, 0.3, 0.5]),
    min_score=st.sampled_from([0.0, 0.1, 0.3]),
    top_k_out=COUNTS,
    by_label=st.booleans(),
)
def test_soft_nms(operators, mode, case, threshold, min_score, top_k_out, by_label):
    boxes, scores, labels = case
    rows = boxes, scores, labels if by_label else None
    options = mode, threshold, 0.5, min_score
    on = [on_device(array) for array in rows]
    with backend.using(operators):
        found = ops.soft_nms(mx.nd, *on[:2], top_k_out, *options, labels=on[2])
    expected = oracles.nms(*rows, threshold, -1, top_k_out, mode, 0.5, min_score)
    assert_same(found, expected, rtol=1e-5)


def test_soft_nms_takes_a_decayed_box_later_and_drops_one_that_decayed_too_far(operators):
    boxes = mx.nd.array([[[0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10], [0, 0, 10, 9.5]]])
    scores = mx.nd.array([[0.9, 0.8, 0.5, 0.3]])
    with backend.using(operators):
        found = ops.soft_nms(mx.nd, boxes, scores, -1, "linear", 0.3, min_score=0.1)
    _, scores, labels, index = numpy(found)
    assert index.tolist() == [[0, 2, 1, -1]]
    np.testing.assert_allclose(scores, [[0.9, 0.5, 0.8 * 0.2, -1]], rtol=1e-5)
    assert labels.tolist() == [[0, 0, 0, -1]]


@given(
    cases.pyramids(),
    st.sampled_from([1, 3, 20, 100]),
    st.sampled_from([1, 3, 20, 100]),
    st.sampled_from([0.0, 2.1]),
    st.sampled_from([(1, 1, 1, 1), (10, 10, 5, 5)]),
)
def test_proposals(operators, pyramid, pre_nms, post_nms, min_size, weights):
    levels, sizes = pyramid
    options = pre_nms, post_nms, 0.637, min_size, weights
    on = [[mx.nd.array(a) for a in (level[0][None], *level[1:])] for level in levels]
    with backend.using(operators):
        found = ops.proposals(mx.nd, on, mx.nd.array(sizes), *options)
    for a, b in zip(numpy(found), oracles.proposals(levels, sizes, *options)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


def test_proposals_of_equal_logits_come_by_index_and_level(operators):
    """40 of them, so that a sort which is stable for short arrays alone is found out."""
    x = np.arange(40) * 10.0
    anchors = np.stack([x, x * 0, x + 8, x * 0 + 8], axis=1)[None]
    level = [mx.nd.array(anchors), mx.nd.zeros((1, 40)), mx.nd.zeros((1, 40, 4))]
    options = mx.nd.array([[50, 500]]), 30, 45, 0.5, 1, (1, 1, 1, 1)
    with backend.using(operators):
        boxes, _ = ops.proposals(mx.nd, [level, level], *options)
    assert boxes.asnumpy()[0, :, 0].tolist() == [*x[:30], *x[:15]]


def test_proposals_leave_out_a_box_of_which_one_side_alone_is_infinite(operators):
    anchors = np.array([[-2.6e38, 0, -0.6e38, 8], [0, 0, 8, 8]], "float32")
    deltas = np.array([[[0, 0, np.log(2), 0], [0, 0, 0, 0]]], "float32")
    level, sizes = (anchors, np.array([[1.0, 0.0]], "float32"), deltas), np.full((1, 2), 9.0)
    options = 5, 5, 0.5, 1, (1, 1, 1, 1)
    on = [mx.nd.array(a) for a in (anchors[None], *level[1:])]
    with backend.using(operators):
        found = ops.proposals(mx.nd, [on], mx.nd.array(sizes), *options)
    for a, b in zip(numpy(found), oracles.proposals([level], sizes, *options)):
        np.testing.assert_allclose(a, b)
        assert b[0, 1].max() <= 0


@given(cases.matchings())
def test_match(operators, case):
    with backend.using(operators):
        found = ops.match(mx.nd, *map(on_device, case))
    assert_same(found, oracles.match(*case), rtol=0)


def test_match_by_hand(operators):
    boxes = np.array([[[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 2], [9, 9, 5, 5]]], "float32")
    objects = np.array([[[0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 1, 4], [90, 90, 99, 99]]], "float32")
    arrays = boxes, np.ones((1, 4)), objects, np.array([[3, -1, -2, 0]], "float32")
    with backend.using(operators):
        results = ops.match(mx.nd, *map(on_device, arrays)), oracles.match(*arrays)
    for found in results:
        found = dict(zip(oracles.Match._fields, (np.array(a.tolist()) for a in _arrays(found))))
        assert found["iou"].tolist() == [[1, 1, 0.5, 0]]
        assert found["is_best"].tolist() == [[1, 1, 0, 0]]
        assert found["ignored"].tolist() == [[0.25, 0.25, 0.25, 0]]
        assert found["best_index"].tolist() == [[0, -1, -1, -1]]
        assert found["best_iou"].tolist() == [[1, 0, 0, 0]]


def _arrays(found):
    return [a if isinstance(a, np.ndarray) else a.asnumpy() for a in found]

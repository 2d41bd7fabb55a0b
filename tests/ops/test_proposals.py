"""Region proposals, native and of the fallback, against kernels.h in numpy."""

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
from support.kernel_results import numpy
from support.oracles import decode

pytestmark = [pytest.mark.processor, pytest.mark.parametrize("operators", BACKENDS)]


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


@given(cases.pyramids(), st.sampled_from([1, 3, 20]), st.sampled_from([1, 3, 20, 100]))
def test_traced_proposals_name_the_anchors_that_they_were_made_of(
    operators, pyramid, pre_nms, post_nms
):
    levels, sizes = pyramid
    weights = (10, 10, 5, 5)
    on = [[mx.nd.array(a) for a in (level[0][None], *level[1:])] for level in levels]
    with backend.using(operators):
        options = mx.nd.array(sizes), pre_nms, post_nms, 0.637, 2.1, weights
        boxes, scores, places = numpy(ops.traced_proposals(mx.nd, on, *options))
        for a, b in zip((boxes, scores), numpy(ops.proposals(mx.nd, on, *options))):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(places < 0, scores < 0)
    anchors = np.concatenate([level[0] for level in levels])
    logits, deltas = (np.concatenate([level[n] for level in levels], axis=1) for n in (1, 2))
    for image, row in zip(*np.nonzero(places >= 0)):
        place = int(places[image, row])
        moved = decode(deltas[image, place].astype("float64"), anchors[place], weights)
        limits = sizes[image][[1, 0, 1, 0]]
        np.testing.assert_allclose(boxes[image, row], np.clip(moved, 0, limits), atol=1e-3)
        expected = 0.5 + 0.5 * np.tanh(0.5 * np.float64(logits[image, place]))
        np.testing.assert_allclose(scores[image, row], expected, rtol=1e-5, atol=1e-7)

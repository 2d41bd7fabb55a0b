"""Proposals against a loop: the best anchors, decoded, clipped, without the small; NMS."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_oracles import proposals
from oracles import anchor_grid

from detkit.models import Proposals

ANCHORS = anchor_grid(3, 4, 16, (12, 24), (0.5, 1)).astype("float32")  # 48 of them
SIZES = ((48, 64), (20, 33))


def propose(objectness, deltas, sizes=SIZES, hybridized=False, anchors=ANCHORS, **options):
    block = Proposals(**options)
    if hybridized:
        block.hybridize()
    level = [[mx.nd.array(array)] for array in (anchors[None], objectness, deltas)]
    return [array.asnumpy() for array in block(*level, mx.nd.array(sizes))]


def outputs(seed, images=2, anchors=48):
    rng = np.random.default_rng(seed)
    objectness = rng.normal(0, 3, (images, anchors)).astype("float32")
    return objectness, rng.normal(0, 0.5, (images, anchors, 4)).astype("float32")


@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 5, 1000]),
    st.sampled_from([1, 5, 1000]),
    st.sampled_from([0.3, 0.7]),
    st.sampled_from([0, 8, 100]),
    st.booleans(),
)
def test_proposals(seed, pre_nms, post_nms, threshold, min_size, hybridized):
    objectness, deltas = outputs(seed)
    boxes, scores = propose(
        objectness,
        deltas,
        hybridized=hybridized,
        pre_nms=pre_nms,
        post_nms=post_nms,
        iou=threshold,
        min_size=min_size,
    )
    expected, expected_scores = proposals(
        [(ANCHORS, objectness, deltas)], SIZES, pre_nms, post_nms, threshold, min_size
    )
    np.testing.assert_allclose(boxes, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)


def test_logits_and_deltas_that_are_not_finite_make_no_proposal():
    objectness, deltas = outputs(0)
    objectness[0, :3] = [np.nan, np.nan, np.nan]
    deltas[0, 3] = [np.nan, 0, 0, 0]
    deltas[0, 4] = [0, np.inf, 0, 0]
    deltas[0, 5] = [0, 0, -np.inf, 0]
    deltas[0, 6] = [0, 0, 0, np.nan]
    boxes, scores = propose(objectness, deltas, iou=1.0, min_size=0)
    expected, expected_scores = proposals([(ANCHORS, objectness, deltas)], SIZES, 6000, 300, 1.0, 0)
    np.testing.assert_allclose(boxes, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
    assert (scores[0, -7:] == -1).all()


def test_certain_anchors_stay_proposals():
    objectness = np.full((1, len(ANCHORS)), 200, "float32")
    objectness[0, ::2] = -200
    deltas = np.zeros((1, len(ANCHORS), 4))
    _, scores = propose(objectness, deltas, sizes=[[48, 64]], iou=1.0, min_size=0)
    assert scores.min() >= 0
    assert (scores == 1).sum() == len(ANCHORS) / 2


def test_an_image_smaller_than_min_size_has_no_proposals():
    objectness, deltas = outputs(0, images=1, anchors=1)
    boxes, scores = propose(
        objectness, deltas, sizes=[[8, 8]], anchors=ANCHORS[:1], min_size=16, post_nms=5
    )
    assert boxes.tolist() == [[[0, 0, 0, 0]]]
    assert scores.tolist() == [[-1]]


def test_an_image_of_padding_alone_has_no_proposals():
    boxes, scores = propose(*outputs(0), sizes=[[0, 0], [48, 64]], min_size=0)
    assert (boxes[0] == 0).all()
    assert (scores[0] == -1).all()
    assert (scores[1] >= 0).any()


@pytest.mark.parametrize("hybridized", [False, True])
def test_those_below_the_floor_are_dropped(hybridized):
    objectness, deltas = outputs(1)
    boxes, scores = propose(objectness, deltas, min_size=0)
    kept = scores >= 0.6
    assert (kept.any(axis=1) & (~kept & (scores >= 0)).any(axis=1)).all()
    floored = propose(objectness, deltas, min_size=0, score_floor=0.6, hybridized=hybridized)
    np.testing.assert_array_equal(floored[0], boxes * kept[:, :, None])
    np.testing.assert_array_equal(floored[1], np.where(kept, scores, -1))


@pytest.mark.parametrize("floor", [-0.1, 1])
def test_the_floor_is_checked(floor):
    with pytest.raises(ValueError, match=rf"score_floor is in \[0, 1\), not {floor}"):
        Proposals(score_floor=floor)


@pytest.mark.parametrize("wrong", [{"pre_nms": 0}, {"post_nms": 0}])
def test_counts_are_checked(wrong):
    with pytest.raises(ValueError, match="pre_nms and post_nms are at least 1"):
        Proposals(**wrong)

"""Proposals against a loop: the best anchors, decoded, clipped, without the small; NMS."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit.models import Proposals
from support.kernel_oracles import proposals
from support.oracles import anchor_grid, clip, decode, nms
from support.refusals import assert_refused

ANCHORS = anchor_grid(3, 4, 16, (12, 24), (0.5, 1)).astype("float32")  # 48 of them
SIZES = ((48, 64), (20, 33))


def propose(
    objectness, deltas, sizes=SIZES, hybridized=False, anchors=ANCHORS, scales=None, **options
):
    block = Proposals(**options)
    if hybridized:
        block.hybridize()
    level = [[mx.nd.array(array)] for array in (anchors[None], objectness, deltas)]
    others = [mx.nd.array(array) for array in (sizes, scales) if array is not None]
    return [array.asnumpy() for array in block(*level, *others)]


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


@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 5, 1000]),
    st.sampled_from([0.01, 8, 100]),
    st.booleans(),
    st.booleans(),
)
def test_min_size_in_pixels_of_the_image(seed, pre_nms, min_size, all_levels, hybridized):
    """As in py-faster-rcnn, the small boxes are dropped first; each side has a scale."""
    objectness, deltas = outputs(seed)
    scales = np.float32([[2, 1.5], [0.5, 0.75]])
    limits = {"pre_nms": pre_nms, "post_nms": 9, "iou": 0.5}
    options = {**limits, "min_size": min_size, "all_levels": all_levels, "min_size_of": "image"}
    found = propose(objectness, deltas, scales=scales, hybridized=hybridized, **options)
    large = objectness.copy()
    for row, (size, (x, y)) in enumerate(zip(SIZES, scales)):
        for index, (anchor, delta) in enumerate(zip(ANCHORS, deltas[row])):
            x1, y1, x2, y2 = clip(decode(delta, anchor), size)
            if min((x2 - x1) / x, (y2 - y1) / y) < min_size:
                large[row, index] = -np.inf
    level = [(ANCHORS, large, deltas)]
    expected = proposals(level, SIZES, *limits.values(), min_size=0)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one[:, : other.shape[1]], other, rtol=1e-4, atol=1e-3)


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
    assert_refused(Proposals, "[0, 1)", score_floor=floor)


@pytest.mark.parametrize(
    "wrong",
    [{"pre_nms": 0}, {"post_nms": 0}, {"iou": 0}, {"iou": 1.1}, {"min_size_of": "disk"}],
)
def test_arguments_are_checked(wrong):
    assert_refused(Proposals, **wrong)


def one_list(levels, size, pre_nms, post_nms, threshold, min_size):
    """Boxes and scores of all levels, (anchors, objectness, deltas) of one image, in one list."""
    boxes, scores = [], []
    for anchors, objectness, deltas in levels:
        for anchor, logit, delta in zip(anchors, objectness, deltas):
            x1, y1, x2, y2 = box = clip(decode(delta, anchor), size)
            if min(x2 - x1, y2 - y1) >= min_size:
                boxes.append(box)
                scores.append(1 / (1 + np.exp(-float(logit))))
    kept = nms(boxes, scores, threshold, pre_nms, post_nms)
    return [boxes[i] for i in kept], [scores[i] for i in kept]


@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 9, 1000]),
    st.sampled_from([1, 5, 1000]),
    st.sampled_from([0, 8]),
    st.booleans(),
)
def test_all_levels_in_one_list(seed, pre_nms, post_nms, min_size, hybridized):
    anchors = [ANCHORS, anchor_grid(1, 2, 32, (48,), (0.5, 1)).astype("float32")]
    arrays = [outputs(seed + n, anchors=len(level)) for n, level in enumerate(anchors)]
    arrays[0][1][0, :6, 0] = 40  # far outside: these have no area
    block = Proposals(
        pre_nms=pre_nms, post_nms=post_nms, min_size=min_size, iou=0.5, all_levels=True
    )
    if hybridized:
        block.hybridize()
    objectness, deltas = ([mx.nd.array(level[kind]) for level in arrays] for kind in (0, 1))
    boxes, scores = block(
        [mx.nd.array(level[None]) for level in anchors], objectness, deltas, mx.nd.array(SIZES)
    )
    boxes, scores = boxes.asnumpy(), scores.asnumpy()
    assert boxes.shape == (2, min(post_nms, 52), 4)
    for row, size in enumerate(SIZES):
        levels = [(a, o[row], d[row]) for a, (o, d) in zip(anchors, arrays)]
        expected, expected_scores = one_list(levels, size, pre_nms, post_nms, 0.5, min_size)
        n = len(expected)
        np.testing.assert_allclose(boxes[row, :n], expected, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(scores[row, :n], expected_scores, rtol=1e-5)
        assert (scores[row, n:] == -1).all()
        assert (boxes[row, n:] == 0).all()


@pytest.mark.parametrize("most", [1.0, 4.42])
def test_the_largest_scale_of_one_list(most):
    objectness, deltas = np.zeros((1, 1), "float32"), np.zeros((1, 1, 4), "float32")
    deltas[0, 0, 2:] = 10
    boxes, _ = propose(
        objectness,
        deltas,
        sizes=[[5000, 5000]],
        anchors=np.array([[1000, 1000, 1010, 1020]], "float32"),
        all_levels=True,
        max_log_scale=most,
    )
    w, h = 10 * np.exp(most), 20 * np.exp(most)
    assert boxes[0, 0].tolist() == pytest.approx(
        [1005 - w / 2, 1010 - h / 2, 1005 + w / 2, 1010 + h / 2], rel=1e-5
    )


def test_another_largest_scale_is_for_one_list():
    assert_refused(Proposals, "log(1000 / 16)", "all_levels", max_log_scale=4.0)


@pytest.mark.parametrize("all_levels", [False, True])
@pytest.mark.parametrize("score_floor", [0.0, 0.6])
def test_the_places_of_the_anchors_say_what_the_proposals_were_made_of(all_levels, score_floor):
    objectness, deltas = outputs(4)
    options = {"all_levels": all_levels, "score_floor": score_floor, "min_size": 8}
    plain = propose(objectness, deltas, **options)
    boxes, scores, places = propose(
        objectness, deltas, hybridized=True, with_anchors=True, **options
    )
    for one, other in zip((boxes, scores), plain):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(places < 0, scores < 0)
    assert (places >= 0).any()
    for image, row in zip(*np.nonzero(places >= 0)):
        place = int(places[image, row])
        moved = decode(deltas[image, place], ANCHORS[place])
        np.testing.assert_allclose(boxes[image, row], clip(moved, SIZES[image]), atol=1e-3)

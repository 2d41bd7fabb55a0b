"""DensePostprocess against a loop: sigmoid, the best of each level, decode, clip, NMS by class."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit.models import DensePostprocess
from detkit.ops import backend
from support.environment import BACKENDS
from support.oracles import anchor_grid, clip, decode, nms
from support.refusals import assert_refused

SIZES = ((40, 50), (30, 33))
ANCHORS = [
    anchor_grid(3, 4, 16, (12, 24), (0.5, 1)).astype("float32"),  # 48
    anchor_grid(1, 2, 32, (30, 40), (0.5, 1)).astype("float32"),  # 8
]


def outputs(seed, classes=3):
    """Logits (2, N, K) and deltas (2, N, 4) of both levels."""
    rng = np.random.default_rng(seed)
    counts = list(map(len, ANCHORS))
    logits = [rng.normal(-1, 2, (2, n, classes)).astype("float32") for n in counts]
    return logits, [rng.normal(0, 0.5, (2, n, 4)).astype("float32") for n in counts]


def postprocess(logits, deltas, hybridized=False, **options):
    block = DensePostprocess(**options)
    if hybridized:
        block.hybridize()
    levels = [[mx.nd.array(array) for array in each] for each in (logits, deltas)]
    anchors = [mx.nd.array(boxes[None]) for boxes in ANCHORS]
    return [array.asnumpy() for array in block(anchors, *levels, mx.nd.array(SIZES))]


def expected_of(logits, deltas, size, floor, pre_nms, threshold, count, weights):
    """Boxes, scores and labels of one image: logits (N, K), deltas (N, 4) of each level."""
    boxes, scores, labels = [], [], []
    for anchors, row, moves in zip(ANCHORS, logits, deltas):
        flat = 1 / (1 + np.exp(-row.astype("float64").reshape(-1)))
        best = np.argsort(-flat, kind="stable")[:pre_nms]
        for anchor, label in (divmod(pair, row.shape[1]) for pair in best):
            score = flat[anchor * row.shape[1] + label]
            box = clip(decode(moves[anchor], anchors[anchor], weights), size)
            if score > floor and min(box[2] - box[0], box[3] - box[1]) >= 1e-2:
                boxes.append(box)
                scores.append(score)
                labels.append(label)
    kept = nms(boxes, scores, threshold, top_k_out=count, labels=labels)
    boxes = np.array(boxes).reshape(-1, 4)[kept]
    return boxes, np.array(scores)[kept], np.array(labels, int)[kept]


@pytest.mark.parametrize("operators", BACKENDS)
@given(
    seed=st.integers(0, 2**31),
    classes=st.integers(1, 4),
    floor=st.sampled_from([0.0, 0.05, 0.4]),
    pre_nms=st.sampled_from([1, 5, 20, 1000]),
    threshold=st.sampled_from([0.1, 0.5]),
    count=st.sampled_from([1, 4, 300]),
    hybridized=st.booleans(),
)
def test_dense_postprocess(operators, seed, classes, floor, pre_nms, threshold, count, hybridized):
    logits, deltas = outputs(seed, classes)
    weights = (1, 1, 1, 1) if seed % 2 else (10, 10, 5, 5)
    with backend.using(operators):
        boxes, scores, labels = postprocess(
            logits,
            deltas,
            hybridized,
            score_floor=floor,
            pre_nms=pre_nms,
            nms_iou=threshold,
            max_detections=count,
            box_weights=weights,
        )
    for image, size in enumerate(SIZES):
        rows = [[level[image] for level in each] for each in (logits, deltas)]
        expected = expected_of(*rows, size, floor, pre_nms, threshold, count, weights)
        n = len(expected[0])
        np.testing.assert_allclose(boxes[image, :n], expected[0], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(scores[image, :n], expected[1], rtol=1e-4)
        assert labels[image, :n].tolist() == expected[2].tolist()
        assert (boxes[image, n:] == 0).all()
        assert (scores[image, n:] == -1).all()
        assert (labels[image, n:] == -1).all()


def test_an_anchor_may_be_of_two_classes():
    logits, deltas = ([np.zeros((2, n, w), "float32") for n in (48, 8)] for w in (3, 4))
    for level in logits:
        level -= 9
    logits[0][:, 7, 1:] = (2, 3)
    boxes, scores, labels = postprocess(logits, deltas)
    assert labels[0, :3].tolist() == [2, 1, -1]
    np.testing.assert_allclose(scores[0, :2], 1 / (1 + np.exp([-3, -2])), rtol=1e-5)
    assert (boxes[0, 0] == boxes[0, 1]).all()


@pytest.mark.parametrize("operators", BACKENDS)
def test_of_equal_scores_the_first_are_taken(operators):
    logits, deltas = ([np.zeros((2, n, w), "float32") for n in (48, 8)] for w in (3, 4))
    with backend.using(operators):
        boxes, scores, labels = postprocess(logits, deltas, pre_nms=4, nms_iou=1.0)
    assert (scores[:, :8] == 0.5).all()
    assert (scores[:, 8:] == -1).all()
    assert labels[0, :8].tolist() == [0, 1, 2, 0] * 2
    for first, anchors in zip((0, 4), ANCHORS):
        for row, anchor in zip(range(first, first + 4), (0, 0, 0, 1)):
            np.testing.assert_allclose(boxes[0, row], clip(anchors[anchor], SIZES[0]), atol=1e-4)


@pytest.mark.parametrize("operators", BACKENDS)
def test_what_is_no_number_is_no_detection(operators):
    logits, deltas = outputs(0)
    expected = postprocess(logits, deltas, pre_nms=20)
    logits[0][0], deltas[0][0] = np.nan, np.nan
    with backend.using(operators):
        found = postprocess(logits, deltas, pre_nms=20)
    assert all(np.isfinite(array).all() for array in found)
    assert 0 < (found[1][0] >= 0).sum() <= 20  # of the second level
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a[1], b[1])


def test_boxes_without_an_area_are_kept_where_no_side_is_too_short():
    logits, deltas = outputs(1)
    deltas[0][..., 0] = -9  # all of the first level lie beyond the left border
    count = {side: (postprocess(logits, deltas, min_side=side)[1] >= 0).sum() for side in (0, 0.01)}
    assert count[0] > count[0.01] > 0


def test_arguments_are_checked():
    assert_refused(DensePostprocess, pre_nms=0)

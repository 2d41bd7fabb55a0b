"""MaxIoUAssigner against a loop over boxes and objects."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import assign

from detkit.targets import MaxIoUAssigner

# IoUs and thresholds are multiples of 1/16, so that many of them are equal.
SIXTEENTHS = st.integers(0, 16).map(lambda n: n / 16)


@st.composite
def images(draw):
    """Two images: IoUs (2, N, G), how many of the G objects are real, candidates (2, N)."""
    boxes, objects = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    overlaps = draw(arrays("float32", (2, boxes, objects), elements=SIXTEENTHS))
    real = draw(st.lists(st.integers(0, objects), min_size=2, max_size=2))
    candidates = draw(arrays("float32", (2, boxes), elements=st.integers(0, 1)))
    for row, count in zip(overlaps, real):
        row[:, count:] = -1
    return overlaps, real, candidates


@given(images(), st.lists(SIXTEENTHS, min_size=3, max_size=3).map(sorted), st.booleans())
def test_assigner(case, thresholds, best_for_object):
    overlaps, real, candidates = case
    neg_low, neg_iou, pos_iou = thresholds
    assigner = MaxIoUAssigner(pos_iou, neg_iou, neg_low, best_for_object)
    found = assigner(mx.nd.array(overlaps), mx.nd.array(candidates))
    for row, count in enumerate(real):
        labels, objects = assign(
            overlaps[row, :, :count],
            candidates[row] > 0,
            pos_iou,
            neg_iou,
            neg_low,
            best_for_object,
        )
        assert found[0][row].asnumpy().tolist() == labels.tolist()
        matched = found[1][row].asnumpy()
        assert matched[labels == 1].tolist() == objects[labels == 1].tolist()


def assigned(overlaps, candidates=None, **options):
    overlaps = mx.nd.array([overlaps])
    candidates = mx.nd.ones(overlaps.shape[:2]) if candidates is None else mx.nd.array([candidates])
    assigner = MaxIoUAssigner(**options)
    assigner.hybridize()
    return [array.asnumpy()[0].tolist() for array in assigner(overlaps, candidates)]


def test_the_best_box_of_an_object_is_positive_however_little_it_overlaps():
    labels, _ = assigned([[0.0], [0.125], [0.0625]])
    assert labels == [0, 1, 0]
    labels, _ = assigned([[0.0], [0.125], [0.0625]], best_for_object=False)
    assert labels == [0, 0, 0]


def test_equally_good_boxes_are_all_positive():
    labels, _ = assigned([[0.5], [0.5], [0.25]])
    assert labels == [1, 1, 0]


def test_a_box_that_is_best_for_one_object_keeps_the_one_it_overlaps_most():
    labels, objects = assigned([[0.9, 0.4], [0.1, 0.2]])
    assert labels == [1, 0]
    assert objects[0] == 0


def test_an_object_that_nothing_overlaps_makes_nothing_positive():
    assert assigned([[0.0], [0.0]])[0] == [0, 0]


def test_boxes_that_take_no_part_are_ignored_and_best_for_nobody():
    labels, _ = assigned([[0.9], [0.4]], candidates=[0, 1])
    assert labels == [-1, 1]


def test_without_objects_all_is_background():
    assert assigned([[-1.0, -1.0]] * 3)[0] == [0, 0, 0]


def test_hard_negatives_begin_at_neg_low():
    options = {"pos_iou": 0.5, "neg_iou": 0.5, "neg_low": 0.125, "best_for_object": False}
    assert assigned([[0.0625], [0.125], [0.4375], [0.5]], **options)[0] == [-1, 0, 0, 1]


@pytest.mark.parametrize(
    "wrong", [{"pos_iou": 0.2}, {"neg_low": 0.4}, {"pos_iou": 1.1}, {"neg_low": -0.1}]
)
def test_thresholds_are_in_order(wrong):
    with pytest.raises(ValueError, match="0 <= neg_low <= neg_iou <= pos_iou <= 1 does not hold"):
        MaxIoUAssigner(**wrong)


def test_matched_is_an_index_of_the_object():
    rng = np.random.default_rng(0)
    overlaps = rng.random((40, 7)).round(3)
    assert assigned(overlaps.tolist())[1] == overlaps.argmax(axis=1).tolist()

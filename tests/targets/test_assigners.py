"""MaxIoUAssigner against a loop over boxes and objects."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detkit.ops import backend
from detkit.targets import MaxIoUAssigner
from support.environment import BACKENDS
from support.oracles import assign, iou_matrix

THRESHOLDS = st.tuples(st.integers(0, 16), st.integers(0, 16), st.integers(1, 16))


def small_boxes(count):
    """Boxes (2, count, 4) with corners on 0..4, so that many overlaps are equal."""
    corners = arrays("float32", (2, count, 2, 2), elements=st.integers(0, 4))
    return corners.map(lambda array: np.sort(array, axis=2).reshape(2, count, 4))


@st.composite
def images(draw):
    """Two images: boxes (2, N, 4), candidates (2, N), objects (2, G, 4), how many are real."""
    count, objects = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    return (
        draw(small_boxes(count)),
        draw(arrays("float32", (2, count), elements=st.integers(0, 1))),
        draw(small_boxes(objects)),
        draw(st.lists(st.integers(0, objects), min_size=2, max_size=2)),
    )


@pytest.mark.parametrize("operators", BACKENDS)
@given(images(), THRESHOLDS.map(sorted), st.booleans())
def test_assigner(operators, case, thresholds, best_for_object):
    boxes, candidates, objects, real = case
    neg_low, neg_iou, pos_iou = (sixteenths / 16 for sixteenths in thresholds)
    assigner = MaxIoUAssigner(pos_iou, neg_iou, neg_low, best_for_object)
    labels = np.where(np.arange(objects.shape[1]) < np.array(real)[:, None], 0, -1)
    with backend.using(operators):
        found = assigner(*(mx.nd.array(a) for a in (boxes, candidates, objects, labels)))
    for row, count in enumerate(real):
        overlaps = iou_matrix(boxes[row], objects[row, :count])
        expected, matched = assign(
            overlaps, candidates[row] > 0, pos_iou, neg_iou, neg_low, best_for_object
        )
        assert found[0][row].asnumpy().tolist() == expected.tolist()
        indices = found[1][row].asnumpy()
        assert indices[expected == 1].tolist() == matched[expected == 1].tolist()


def assigned(boxes, objects, gt_labels=None, candidates=None, **options):
    gt_labels = [0] * len(objects) if gt_labels is None else gt_labels
    candidates = [1] * len(boxes) if candidates is None else candidates
    assigner = MaxIoUAssigner(**options)
    assigner.hybridize()
    inputs = (mx.nd.array([array]) for array in (boxes, candidates, objects, gt_labels))
    return [array.asnumpy()[0].tolist() for array in assigner(*inputs)]


OBJECT = [0, 0, 16, 1]


def part(sixteenths):
    """A box whose IoU with OBJECT is so many sixteenths."""
    return [0, 0, sixteenths, 1]


def test_the_best_box_of_an_object_is_positive_however_little_it_overlaps():
    labels, _ = assigned([part(0), part(2), part(1)], [OBJECT])
    assert labels == [0, 1, 0]
    labels, _ = assigned([part(0), part(2), part(1)], [OBJECT], best_for_object=False)
    assert labels == [0, 0, 0]


def test_equally_good_boxes_are_all_positive():
    labels, _ = assigned([part(8), [8, 0, 16, 1], part(4)], [OBJECT])
    assert labels == [1, 1, 0]


def test_a_box_that_is_best_for_one_object_keeps_the_one_it_overlaps_most():
    below = [0, 1, 16, 2]
    labels, objects = assigned([[0, 0, 16, 1.5], [0, 1.9, 16, 2]], [below, OBJECT])
    assert labels == [1, 0]
    assert objects[0] == 1


def test_an_object_that_nothing_overlaps_makes_nothing_positive():
    assert assigned([[20, 0, 30, 1], [20, 5, 30, 9]], [OBJECT])[0] == [0, 0]


def test_boxes_that_take_no_part_are_ignored_and_best_for_nobody():
    labels, _ = assigned([part(15), part(6)], [OBJECT], candidates=[0, 1])
    assert labels == [-1, 1]


def test_without_objects_all_is_background():
    assert assigned([OBJECT, part(3), part(0)], [OBJECT] * 2, [-1, -1])[0] == [0, 0, 0]


def test_hard_negatives_begin_at_neg_low():
    options = {"pos_iou": 0.5, "neg_iou": 0.5, "neg_low": 0.125, "best_for_object": False}
    boxes = [part(1), part(2), part(7), part(8)]
    assert assigned(boxes, [OBJECT], **options)[0] == [-1, 0, 0, 1]


CROWD = [0, 10, 16, 14]


def beside_a_crowd(crowd_share, objects=(OBJECT, CROWD), gt_labels=(0, -2)):
    """Labels of boxes of which 0, 1/2, 3/4 and all lie in CROWD."""
    boxes = [[0, 20, 16, 24], [0, 12, 16, 16], [0, 11, 16, 15], [2, 10, 9, 13]]
    return assigned(boxes, list(objects), list(gt_labels), crowd_share=crowd_share)[0]


def test_boxes_in_a_crowd_are_no_negatives():
    assert beside_a_crowd(0.7) == [0, 0, -1, -1]
    assert beside_a_crowd(0.75) == [0, 0, 0, -1]  # more than that, not as much
    assert beside_a_crowd(0.0) == [0, -1, -1, -1]
    assert beside_a_crowd(1.0) == [0, 0, 0, 0]


def test_a_crowd_is_no_object():
    assert beside_a_crowd(0.7, [CROWD], [-2]) == [0, 0, -1, -1]
    assert assigned([CROWD], [CROWD], [-2], crowd_share=1.0)[0] == [0]


def test_a_positive_in_a_crowd_stays_positive():
    labels, objects = assigned([CROWD, OBJECT], [CROWD, CROWD], [-2, 3])
    assert labels == [1, 0]
    assert objects[0] == 1


def test_padding_is_no_crowd():
    assert beside_a_crowd(0.0, gt_labels=(0, -1)) == [0, 0, 0, 0]


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_crowd_share_is_checked(share):
    with pytest.raises(ValueError, match=rf"^crowd_share: .* {share}"):
        MaxIoUAssigner(crowd_share=share)


ALL_ZERO = {"pos_iou": 0.0, "neg_iou": 0.0}


@pytest.mark.parametrize(
    "wrong", [{"pos_iou": 0.2}, {"neg_low": 0.4}, {"pos_iou": 1.1}, {"neg_low": -0.1}, ALL_ZERO]
)
def test_thresholds_are_in_order(wrong):
    with pytest.raises(ValueError) as error:
        MaxIoUAssigner(**wrong)
    assert "neg_low <= neg_iou <= pos_iou" in str(error.value)
    assert all(f"{name}={value}" in str(error.value) for name, value in wrong.items())

"""Samplers of hard examples: bins of IoU evenly, and the largest losses of RoIs apart."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit.ops import backend
from detkit.targets import OHEM, IoUBalancedSampler
from support.drawing import share_drawn
from support.environment import BACKENDS
from support.oracles import nms
from support.refusals import assert_refused


def balanced(labels, ious, **options):
    """The share of calls in which each box of labels (N,) and ious (N,) is drawn."""
    return share_drawn(IoUBalancedSampler(**options), labels, ious)


def test_negatives_are_spread_over_the_bins_of_iou():
    # The bins: below 0.1, below 0.2, up to 0.3. The positive's IoU is above the range.
    ious = [0.0] * 40 + [0.15] * 20 + [0.3] * 10 + [0.9]
    drawn = balanced([0] * 70 + [1], ious, size=10, positive_share=0.1)
    assert drawn[70] == 1
    for members, count in ((slice(0, 40), 40), (slice(40, 60), 20), (slice(60, 70), 10)):
        assert drawn[members] == pytest.approx([9 / 3 / count] * count, abs=0.05)


def test_the_other_bins_fill_up_for_one_with_few_negatives():
    drawn = balanced([0] * 32, [0.0] * 20 + [0.2] * 10 + [0.3] * 2, size=12, positive_share=0)
    assert drawn[30:] == pytest.approx([1, 1], abs=0.02)
    assert drawn[:20].sum() == pytest.approx(5, abs=0.3)
    assert drawn[20:30].sum() == pytest.approx(5, abs=0.3)


def test_one_bin_is_a_random_sampler():
    drawn = balanced([0] * 12, np.linspace(0, 0.4, 12), size=6, positive_share=0, bins=1)
    assert drawn == pytest.approx([0.5] * 12, abs=0.05)


def test_negatives_without_an_overlap_are_one_bin():
    assert balanced([0] * 8, [0] * 8, size=4, positive_share=0) == pytest.approx(
        [0.5] * 8, abs=0.05
    )


def test_bins_are_checked():
    assert_refused(IoUBalancedSampler, bins=0)


@pytest.mark.parametrize("operators", BACKENDS)
@given(
    st.integers(0, 2**31),
    st.integers(1, 12),
    st.integers(1, 8),
    st.sampled_from([0.3, 0.5, 0.7, 1]),
)
def test_ohem_takes_the_largest_losses_of_rois_apart(operators, seed, count, size, iou):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 8, (2, count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 8, (2, count, 2))], axis=2)
    labels, losses = rng.integers(-1, 2, (2, count)), rng.integers(0, 5, (2, count)) / 2
    with backend.using(operators):
        found = OHEM(size, iou)(*map(mx.nd.array, (labels, losses, boxes))).asnumpy()
    for row in range(2):
        scores = np.where(labels[row] == -1, -1, losses[row])
        expected = np.full(count, -1)
        kept = nms(boxes[row], scores, iou, top_k_out=size)
        expected[kept] = labels[row][kept]
        assert found[row].tolist() == expected.tolist()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"iou": 0.0}, {"iou": 1.1}])
def test_arguments_of_ohem_are_checked(wrong):
    assert_refused(OHEM, **wrong)

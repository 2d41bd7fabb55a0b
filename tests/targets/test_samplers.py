"""Samplers: how many are drawn, that only members are, and that chance is fair and seeded."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detkit.targets import IoUBalancedSampler, PseudoSampler, RandomSampler
from detkit.targets.samplers import RADIX
from support.drawing import share_drawn
from support.oracles import sample_counts
from support.refusals import assert_refused


def with_ious(sampler, labels):
    """What ``sampler`` draws; an IoUBalancedSampler is given IoUs, of which many are equal."""
    labels = mx.nd.array(labels)
    if not isinstance(sampler, IoUBalancedSampler):
        return sampler(labels).asnumpy()
    return sampler(
        labels, mx.nd.array(np.arange(labels.size).reshape(labels.shape) % 4 / 8)
    ).asnumpy()


@pytest.mark.parametrize("kind", [RandomSampler, IoUBalancedSampler])
@given(
    arrays(
        "float32", st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.integers(-1, 1)
    ),
    st.integers(1, 20),
    st.sampled_from([0, 0.25, 0.5, 1]),
)
def test_counts(kind, labels, size, positive_share):
    found = with_ious(kind(size, positive_share), labels)
    assert set(np.unique(found)) <= {-1, 0, 1}
    for before, after in zip(labels, found):
        assert (after[after >= 0] == before[after >= 0]).all()
        counts = (after == 1).sum(), (after == 0).sum()
        assert counts == sample_counts(before, size, positive_share)


@pytest.mark.parametrize("kind", [RandomSampler, IoUBalancedSampler])
@given(
    arrays(
        "float32", st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.integers(-1, 1)
    ),
    st.integers(1, 20),
    st.sampled_from([0, 0.25, 0.5, 1]),
)
def test_positives_fill_up_what_negatives_leave(kind, labels, size, positive_share):
    draws = []
    for fill_up in (False, True):
        sampler = kind(size, positive_share, fill_up=fill_up)
        mx.random.seed(0)
        draws.append(with_ious(sampler, labels))
    assert sampler.max_positive == size
    for before, strict, filled in zip(labels, *draws):
        positives = (before == 1).sum()
        missing = size - (strict >= 0).sum()
        # All that is drawn without it is drawn with it, by the same chance, and positives join.
        assert (filled[strict >= 0] == strict[strict >= 0]).all()
        assert (filled[strict < 0] <= before[strict < 0]).all() and (filled != 0)[strict < 0].all()
        assert (filled == 1).sum() == min(positives, (strict == 1).sum() + missing)


def test_every_positive_fills_up_equally_often():
    drawn = share_drawn(RandomSampler(4, 0.25, fill_up=True), [1, 1, 1, 1, 1, 0, -1])
    assert drawn[:5] == pytest.approx([3 / 5] * 5, abs=0.04)
    assert drawn[5:].tolist() == [1, 0]


def test_every_member_is_drawn_equally_often():
    drawn = share_drawn(RandomSampler(4, 0.5), [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, -1])
    assert drawn[:4] == pytest.approx([2 / 4] * 4, abs=0.04)
    assert drawn[4:12] == pytest.approx([2 / 8] * 8, abs=0.04)
    assert drawn[12] == 0


def test_equal_priorities_are_drawn_one_by_one(monkeypatch):
    monkeypatch.setattr(mx.nd.random, "uniform_like", lambda data: mx.nd.ones_like(data) / 2)
    labels = np.array([[1] * 9 + [0] * 40, [1] * 2 + [0] * 5 + [-1] * 42])
    for sampler in (RandomSampler(16, 0.25), IoUBalancedSampler(16, 0.25)):
        found = with_ious(sampler, labels)
        assert [(row >= 0).sum() for row in found] == [16, 7]
        assert (found == 1).sum(axis=1).tolist() == [4, 2]


@pytest.mark.parametrize("kind", [RandomSampler, IoUBalancedSampler])
@pytest.mark.parametrize("hybridized", [False, True])
def test_draws_differ_from_call_to_call_and_repeat_under_a_seed(kind, hybridized):
    sampler = kind(10)
    if hybridized:
        sampler.hybridize()
    labels = np.arange(200).reshape(2, 100) % 3 - 1

    def draws():
        mx.random.seed(7)
        return [with_ious(sampler, labels).tolist() for _ in range(2)]

    first, second = draws()
    assert first != second
    assert first[0] != first[1]
    assert draws() == [first, second]


@pytest.mark.parametrize("kind", [RandomSampler, IoUBalancedSampler])
def test_a_draw_depends_on_the_image_alone(kind):
    """Not on the images and the padding beside it: devices that share a batch draw as one does."""
    labels = np.random.default_rng(0).integers(-1, 2, (3, 3000))
    padding = np.full((3, 52), -1)

    def drawn(rows):
        mx.random.seed(11)
        return with_ious(kind(64), rows)

    together = drawn(labels)
    for row, found in zip(labels, together):
        assert (drawn(row[None]) == found).all()
    assert (drawn(np.concatenate([labels, padding], axis=1))[:, :3000] == together).all()


def test_far_columns_are_drawn_as_often_as_near_ones():
    # Numbers of columns of more than one digit; see RADIX.
    labels = np.zeros(5 * RADIX)
    parts = share_drawn(RandomSampler(RADIX, 0), labels, calls=200).reshape(20, -1).mean(axis=1)
    assert parts == pytest.approx([0.2] * 20, abs=0.02)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"positive_share": 1.5}, {"positive_share": -0.1}])
def test_arguments_are_checked(wrong):
    assert_refused(RandomSampler, **wrong)


def test_the_pseudo_sampler_takes_all():
    sampler = PseudoSampler()
    sampler.hybridize()
    labels = np.array([[1, 0, -1, 0], [0, 0, 0, 1]])
    assert sampler(mx.nd.array(labels)).asnumpy().tolist() == labels.tolist()
    assert sampler.size is None

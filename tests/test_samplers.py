"""RandomSampler: how many are drawn, that only members are, and that chance is fair and seeded."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import sample_counts

from detkit.targets import RandomSampler


@given(
    arrays(
        "float32", st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.integers(-1, 1)
    ),
    st.integers(1, 20),
    st.sampled_from([0, 0.25, 0.5, 1]),
)
def test_counts(labels, size, positive_share):
    found = RandomSampler(size, positive_share)(mx.nd.array(labels)).asnumpy()
    assert set(np.unique(found)) <= {-1, 0, 1}
    for before, after in zip(labels, found):
        assert (after[after >= 0] == before[after >= 0]).all()
        counts = (after == 1).sum(), (after == 0).sum()
        assert counts == sample_counts(before, size, positive_share)


def test_every_member_is_drawn_equally_often():
    labels = mx.nd.array(np.tile([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, -1], (4000, 1)))
    mx.random.seed(0)
    drawn = (RandomSampler(4, 0.5)(labels).asnumpy() >= 0).mean(axis=0)
    assert drawn[:4] == pytest.approx([2 / 4] * 4, abs=0.04)
    assert drawn[4:12] == pytest.approx([2 / 8] * 8, abs=0.04)
    assert drawn[12] == 0


@pytest.mark.parametrize("hybridized", [False, True])
def test_draws_differ_from_call_to_call_and_repeat_under_a_seed(hybridized):
    sampler = RandomSampler(10)
    if hybridized:
        sampler.hybridize()
    labels = mx.nd.array(np.arange(200).reshape(2, 100) % 3 - 1)

    def draws():
        mx.random.seed(7)
        return [sampler(labels).asnumpy().tolist() for _ in range(2)]

    first, second = draws()
    assert first != second
    assert first[0] != first[1]
    assert draws() == [first, second]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"positive_share": 1.5}, {"positive_share": -0.1}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match="size is at least 1 and positive_share between 0 and 1"):
        RandomSampler(**wrong)

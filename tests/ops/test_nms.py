"""NMS and soft-NMS, native and of the fallback, against kernels.h in numpy."""

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
from support.kernel_results import assert_same, numpy, on_device

pytestmark = [pytest.mark.processor, pytest.mark.parametrize("operators", BACKENDS)]
COUNTS = st.sampled_from([-1, 1, 3, 20, 100])


@given(cases.crowds(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), COUNTS, COUNTS, st.booleans())
def test_nms(operators, crowd, threshold, top_k_in, top_k_out, by_label):
    boxes, scores, labels = crowd
    rows = boxes, scores, labels if by_label else None
    on = [on_device(array) for array in rows]
    with backend.using(operators):
        found = ops.nms(mx.nd, *on[:2], threshold, top_k_in, top_k_out, labels=on[2])
    assert_same(found, oracles.nms(*rows, threshold, top_k_in, top_k_out), rtol=0)


def test_nms_at_exactly_the_threshold_keeps(operators):
    boxes = mx.nd.array([[[0, 0, 2, 1], [0, 0, 1, 1]]])  # IoU 1 / 2
    scores = mx.nd.array([[0.9, 0.8]])
    with backend.using(operators):
        assert (ops.nms(mx.nd, boxes, scores, 0.5)[1].asnumpy() > 0).all()
        kept = ops.nms(mx.nd, boxes, scores, 0.49)[1].asnumpy()[0]
    assert (kept > 0).tolist() == [True, False]


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

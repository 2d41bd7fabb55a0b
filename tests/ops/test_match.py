"""Matching, native and of the fallback, against kernels.h in numpy."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given

from detkit import ops
from detkit.ops import backend
from support import kernel_cases as cases
from support import kernel_oracles as oracles
from support.environment import BACKENDS
from support.kernel_results import assert_same, on_device

pytestmark = [pytest.mark.processor, pytest.mark.parametrize("operators", BACKENDS)]


@given(cases.matchings())
def test_match(operators, case):
    with backend.using(operators):
        found = ops.match(mx.nd, *map(on_device, case))
    assert_same(found, oracles.match(*case), rtol=0)


def test_match_by_hand(operators):
    boxes = np.array([[[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 2], [9, 9, 5, 5]]], "float32")
    objects = np.array([[[0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 1, 4], [90, 90, 99, 99]]], "float32")
    arrays = boxes, np.ones((1, 4)), objects, np.array([[3, -1, -2, 0]], "float32")
    with backend.using(operators):
        results = ops.match(mx.nd, *map(on_device, arrays)), oracles.match(*arrays)
    for found in results:
        found = dict(zip(oracles.Match._fields, (np.array(a.tolist()) for a in _arrays(found))))
        assert found["iou"].tolist() == [[1, 1, 0.5, 0]]
        assert found["is_best"].tolist() == [[1, 1, 0, 0]]
        assert found["ignored"].tolist() == [[0.25, 0.25, 0.25, 0]]
        assert found["best_index"].tolist() == [[0, -1, -1, -1]]
        assert found["best_iou"].tolist() == [[1, 0, 0, 0]]


def _arrays(found):
    return [a if isinstance(a, np.ndarray) else a.asnumpy() for a in found]

"""Soft-NMS made of MXNet's operators in a graph: contrib.foreach, which may read too early there,
is no part of it."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock

from detkit.ops import fallback
from support.graphs import LOOPS, ops_of


class LateBoxes(HybridBlock):
    """Soft-NMS of boxes, scores and labels that take the graph long to compute."""

    def __init__(self, mode):
        super().__init__()
        self._mode = mode

    def hybrid_forward(self, F, matrix, boxes, scores, labels):
        late = matrix
        for _ in range(4):
            late = F.dot(late, matrix) * 1e-3
        zero = F.reshape(F.sum(late), shape=(1, 1)) * 0
        boxes = F.broadcast_add(boxes, F.expand_dims(zero, axis=2))
        scores, labels = F.broadcast_add(scores, zero), F.broadcast_add(labels, zero)
        return fallback.soft_nms(F, boxes, scores, labels, 0.3, self._mode, top_k_out=20)


@pytest.mark.parametrize("mode", ["linear", "gaussian"])
@pytest.mark.parametrize("planned", [False, True])
def test_soft_nms_waits_for_its_inputs(mode, planned):
    rng, given = np.random.default_rng(0), []
    matrix = rng.normal(0, 1, (400, 400))
    for _ in range(3):
        corner = rng.uniform(0, 20, (2, 40, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(1, 20, (2, 40, 2))], axis=2)
        arrays = matrix, boxes, rng.random((2, 40)), rng.integers(0, 3, (2, 40))
        given.append([mx.nd.array(array) for array in arrays])
    block = LateBoxes(mode)
    expected = [[array.asnumpy() for array in block(*arrays)] for arrays in given]
    block.hybridize(static_alloc=planned, static_shape=planned)
    for turn in range(9):
        results = block(*given[turn % 3])
        for found, exact in zip(results, expected[turn % 3]):
            np.testing.assert_allclose(found.asnumpy(), exact, rtol=1e-5)


@pytest.mark.parametrize("mode", ["linear", "gaussian"])
def test_its_steps_are_operators_of_the_graph(mode):
    variables = [mx.sym.var(name) for name in ("boxes", "scores", "labels")]
    for count, loops in ((5, set()), (-1, {"_foreach"})):
        outputs = fallback.soft_nms(mx.sym, *variables, 0.3, mode, top_k_out=count)
        assert LOOPS & set(ops_of(mx.sym.Group(outputs))) == loops

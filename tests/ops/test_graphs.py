"""The operators as graphs: hybridized, exported, read again, for any number of rows."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import SymbolBlock

from detkit import ops
from detkit.ops import backend
from support import kernel_cases as cases
from support.blocks import FunctionBlock
from support.environment import BACKENDS

pytestmark = pytest.mark.processor
STRIDE = 4


def boxes(rng, images, count):
    corner = rng.uniform(0, 20, (images, count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 20, (images, count, 2))], axis=2)
    return cases.spoil(rng, boxes, cases.NO_NUMBERS, 0.02)


def crowd(rng, images, count):
    labels = rng.integers(0, 3, (images, count))
    return boxes(rng, images, count), rng.random((images, count)), labels


def unlabelled(rng, images, count):
    return crowd(rng, images, count)[:2]


def pyramid(rng, images, count):
    levels = []
    for n in (count, 2 * count):
        levels += [boxes(rng, 1, n), rng.normal(0, 1, (images, n))]
        levels.append(rng.normal(0, 0.2, (images, n, 4)))
    return (np.full((images, 2), 30.0), *levels)


def objects(rng, images, count):
    labels = rng.integers(-2, 3, (images, 3))
    return boxes(rng, 1, count), np.ones((images, count)), boxes(rng, images, 3), labels


def pooled(rng, images, count):
    return rng.normal(0, 1, (images, 2, count, count + 1)), boxes(rng, images, count)


def pooled_levels(rng, images, count):
    return (*pooled(rng, images, count), rng.normal(0, 1, (images, 2, 2 * count, count)))


def masks(rng, images, count):
    index = rng.integers(-1, 3, (images, count))
    return rng.integers(0, 2, (images, 2, 9, 8)), boxes(rng, images, count), index


def pasted(rng, images, count):
    return rng.random((count, 3 + images, 3 + images)), boxes(rng, 1, count)[0]


def nms(F, boxes, scores, labels=None):
    return ops.nms(F, boxes, scores, 0.4, 20, 10, labels=labels)


def linear(F, boxes, scores, labels):
    return ops.soft_nms(F, boxes, scores, 7, "linear", 0.4, min_score=0.1, labels=labels)


def gaussian(F, boxes, scores):
    return ops.soft_nms(F, boxes, scores, -1, "gaussian")


def proposals(F, sizes, *arrays):
    levels = [arrays[:3], arrays[3:]]
    return ops.proposals(F, levels, sizes, 5, 7, 0.7, 1.0, (1, 1, 1, 1))


def two_levels(F, coarse, rois, fine):
    return ops.prroi_pool(F, (fine, coarse), rois, 2, (4, 8), ops.Levels(2, 2, 5.0))


def single(operator, *options):
    return lambda F, features, rois: operator(F, features, rois, 2, STRIDE, *options)


def mask_target(F, masks, rois, index):
    masks, index = F.cast(masks, dtype="uint8"), F.cast(index, dtype="int32")
    return ops.mask_target(F, masks, rois, index, 3)


GRAPHS = {
    "nms": (nms, crowd),
    "nms of all": (nms, unlabelled),
    "linear": (linear, crowd),
    "gaussian": (gaussian, unlabelled),
    "proposals": (proposals, pyramid),
    "match": (lambda F, *arrays: tuple(ops.match(F, *arrays)), objects),
    "align": (single(ops.roi_align, 2, True), pooled),
    "align max": (single(ops.roi_align, 2, False, "max"), pooled),
    "pool": (single(ops.roi_pool), pooled),
    "pool average": (single(ops.roi_pool, "average"), pooled),
    "precise": (single(ops.prroi_pool), pooled),
    "crop": (single(ops.crop_pool), pooled),
    "levels": (two_levels, pooled_levels),
    "mask target": (mask_target, masks),
    "mask paste": (lambda F, *arrays: ops.mask_paste(F, *arrays, 30, 35), pasted),
}


@pytest.fixture(params=BACKENDS, autouse=True)
def operators(request):
    with backend.using(request.param):
        yield


def outputs(block, arrays):
    found = block(*arrays)
    return [a.asnumpy() for a in (found if isinstance(found, (list, tuple)) else [found])]


@pytest.mark.parametrize("name", GRAPHS)
def test_graph(name, tmp_path):
    function, make = GRAPHS[name]
    rng = np.random.default_rng(0)
    # The last has fewer rows than any top_k; the first decides the shapes the graph is made with.
    inputs = [
        [mx.nd.array(a) for a in make(rng, images, count)]
        for images, count in ((2, 12), (1, 30), (3, 2))
    ]
    expected = [outputs(FunctionBlock(function), arrays) for arrays in inputs]
    graph = FunctionBlock(function)
    graph.hybridize()
    for arrays, results in zip(inputs, expected):
        assert_equal(outputs(graph, arrays), results)

    graph = FunctionBlock(function)
    graph.hybridize()
    graph(*inputs[0])
    graph.export(str(tmp_path / "graph"))
    names = [f"data{i}" for i in range(len(inputs[0]))]
    read = SymbolBlock.imports(str(tmp_path / "graph-symbol.json"), names)
    for arrays, results in zip(inputs, expected):
        assert_equal(outputs(read, arrays), results)


@pytest.mark.parametrize(
    "name", [n for n, (_, make) in GRAPHS.items() if "pooled" in make.__name__]
)
def test_gradients_of_a_graph(name):
    function, make = GRAPHS[name]
    grads = []
    for hybridize in (False, True):
        graph = FunctionBlock(function)
        graph.hybridize(hybridize)
        arrays = [mx.nd.array(a) for a in make(np.random.default_rng(0), 2, 5)]
        for array in arrays:
            array.attach_grad()
        with autograd.record():
            out = graph(*arrays)
        out.backward(mx.nd.array(np.random.default_rng(1).normal(0, 1, out.shape)))
        grads.append([array.grad.asnumpy() for array in arrays])
    assert_equal(*grads)
    assert all(np.abs(grad).max() > 0 for grad in grads[0][::2])  # every map has one


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

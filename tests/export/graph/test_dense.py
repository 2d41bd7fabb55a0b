"""Dense layers of a graph that become 1x1 convolutions of maps of one pixel."""

import mxnet as mx
import numpy as np
import pytest

from detkit.export.graph.dense import dense_to_convolutions
from detkit.export.graph.graph import Graph
from support.graphs import ops_of

X, WEIGHT = mx.sym.var("x"), mx.sym.var("w")


def dense(x, outputs, **options):
    return mx.sym.FullyConnected(x, num_hidden=outputs, **options)


def shared(x):
    return dense(x, 6, weight=WEIGHT, no_bias=True)


def relu(x):
    return mx.sym.Activation(x, act_type="relu")


def rewritten(symbol, shape=(5, 3, 2, 4), parameters=None):
    """The operators after the pass, whose results have to be those of the symbol before."""
    rng = np.random.default_rng(0)
    shapes, *_ = symbol.infer_shape(x=shape)
    arrays = [mx.nd.array(rng.normal(0, 0.5, each)) for each in shapes]
    before = dict(zip(symbol.list_inputs(), arrays))
    after = dict(before) if parameters is None else {name: before[name] for name in parameters}
    graph = Graph(symbol)
    dense_to_convolutions(graph, after)
    found = graph.symbol()
    for one, other in zip(
        *(run(*each) for each in ((symbol, before), (found, {**before, **after})))
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    return ops_of(found)


def run(symbol, arrays):
    bound = symbol.bind(mx.cpu(), [arrays[name] for name in symbol.list_inputs()])
    return [output.asnumpy() for output in bound.forward()]


@pytest.mark.parametrize("bias", [False, True])
def test_rows_become_pixels_and_pixels_rows(bias):
    found = rewritten(dense(X, 6, no_bias=not bias))
    assert found == ["Reshape", "Convolution", "Reshape"]


def test_a_relu_stays_beside_its_layer():
    first = relu(dense(X, 6, name="first"))
    found = rewritten(dense(first, 4, name="second"))
    layer = ["Reshape", "Convolution"]
    assert found == [*layer, "Activation", "Reshape", *layer, "Reshape"]


def test_a_result_that_others_read():
    layer = dense(X, 6)
    found = rewritten(mx.sym.Group([relu(layer) + layer, layer]))
    assert found[:3] == ["Reshape", "Convolution", "Reshape"]


@pytest.mark.parametrize(
    "symbol, parameters",
    [
        (dense(X, 6, flatten=False), None),
        (dense(X, 6, weight=WEIGHT * 2, no_bias=True), None),
        (
            dense(X, 6, weight=WEIGHT, no_bias=True) + dense(X + 1, 6, weight=WEIGHT, no_bias=True),
            None,
        ),
        (shared(X), ()),
    ],
)
def test_other_layers_stay(symbol, parameters):
    assert "Convolution" not in rewritten(symbol, parameters=parameters)

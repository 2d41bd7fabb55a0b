"""Which convolutions of a graph become detkit's own, with what follows them."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

from detkit.export.graph.convolutions import use_own_convolutions
from detkit.export.graph.graph import Graph
from detkit.export.precision.calibrate import runner
from detkit.ops import backend
from support.graphs import ops_of

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("built_library")]


class Layers(HybridBlock):
    """Three convolutions of the same shape, and a function of F, x and them."""

    def __init__(self, function):
        super().__init__()
        self._function = function
        with self.name_scope():
            self.one = nn.Conv2D(4, 1, in_channels=4)
            self.other = nn.Conv2D(4, 1, in_channels=4, use_bias=False)
            self.three = nn.Conv2D(4, 3, padding=1, in_channels=4)

    def hybrid_forward(self, F, x):
        return self._function(F, x, self.one, self.other, self.three)


def relu(F, x):
    return F.Activation(x, act_type="relu")


def sum_of_two(F, x, one, other, three):
    return relu(F, one(x) + other(x))


def residual(F, x, one, other, three):
    return F.minimum(relu(F, x + one(three(x))), 0.5)


def bounded(F, x, one, other, three):
    return F.minimum(relu(F, one(x)), 0.5) + F.minimum(relu(F, three(x)), -1)


def read_twice(F, x, one, other, three):
    y = one(x)
    return relu(F, y) + y


def doubled(F, x, one, other, three):
    y = one(x)
    return y + y


ONE, THREE, DEPTHWISE = "detkit_conv1x1", "detkit_conv3x3", "detkit_depthwise"


@pytest.mark.parametrize(
    "function, ops",
    [
        (sum_of_two, [ONE, ONE]),
        (residual, [THREE, ONE]),
        (bounded, [ONE, THREE, "_minimum_scalar", "elemwise_add"]),
        (read_twice, [ONE, "Activation", "elemwise_add"]),
        (doubled, [ONE, "elemwise_add"]),
    ],
)
def test_what_becomes_one_operator(function, ops):
    block = Layers(function)
    block.initialize(mx.init.Normal(0.5))
    with backend.using("native", direct=True):
        graph = Graph(block(mx.sym.var("x")))
    parameters = {name: each.data() for name, each in block.collect_params().items()}
    x = mx.nd.array(np.random.default_rng(0).normal(size=(2, 4, 7, 9)))
    needed = {node.name for node in graph.variables()} - {"x"}
    parameters = {name: each for name, each in parameters.items() if name in needed}
    (expected,) = runner(graph.symbol(), parameters, ["x"])(x)
    use_own_convolutions(graph, parameters)
    assert sorted(ops_of(graph.symbol())) == sorted(ops)
    (found,) = runner(graph.symbol(), parameters, ["x"])(x)
    np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, op",
    [
        ({"kernel": (1, 1)}, ONE),
        ({"kernel": (1, 1), "stride": (2, 2), "layout": "NCHW"}, ONE),
        ({"kernel": (1, 1), "pad": (1, 1)}, "Convolution"),
        ({"kernel": (1, 1), "num_group": 2}, "Convolution"),
        ({"kernel": (3, 3)}, "Convolution"),
        ({"kernel": (3, 3), "pad": (1, 1), "stride": (2, 2), "num_group": 4}, DEPTHWISE),
        ({"kernel": (3, 3), "pad": (1, 1), "num_group": 2}, "Convolution"),
        ({"kernel": (3, 3), "pad": (1, 1), "dilate": (1, 1)}, THREE),
        ({"kernel": (3, 3), "pad": (2, 2), "dilate": (2, 2)}, "Convolution"),
    ],
)
def test_which_convolutions_are_replaced(arguments, op):
    x, weight = mx.sym.var("x"), mx.sym.var("weight")
    graph = Graph(mx.sym.Convolution(x, weight, num_filter=4, no_bias=True, **arguments))
    shape = (4, 4 // arguments.get("num_group", 1), *arguments["kernel"])
    use_own_convolutions(graph, {"weight": mx.nd.ones(shape)})
    assert ops_of(graph.symbol()) == [op]

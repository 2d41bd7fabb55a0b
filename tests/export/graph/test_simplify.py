"""What is taken out of a graph: constants, batch norms, identities; the results stay the same."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from detkit.export.graph.graph import Graph
from detkit.export.graph.simplify import simplify
from detkit.models.layers import FoldingSequential
from detkit.models.norms import freeze_norms
from support.graphs import ops_of

pytestmark = pytest.mark.processor


def simplified(block, *shapes):
    """The simplified symbol of a block, its parameters, and whether it gives the same.

    Parameters get random values before.
    """
    rng = np.random.default_rng(0)
    arrays = [mx.nd.array(rng.normal(size=shape)) for shape in shapes]
    block.initialize()
    for parameter in block.collect_params().values():
        parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
    expected = block(*arrays)
    names = [f"data{position}" for position in range(len(shapes))]
    graph = Graph(block(*map(mx.sym.var, names)))
    parameters = {name: each.data() for name, each in block.collect_params().items()}
    parameters = simplify(graph, parameters)
    symbol = graph.symbol()
    assert set(symbol.list_inputs()) == {*names, *parameters}
    again = mx.nd.CachedOp(symbol)
    given = {**parameters, **dict(zip(names, arrays))}
    found = again(*(given[name] for name in symbol.list_inputs()))
    np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=2e-6, atol=1e-5)
    return symbol, parameters


def sequence(*layers):
    block = nn.HybridSequential()
    block.add(*layers)
    return block


def conv(**options):
    return nn.Conv2D(8, 3, in_channels=4, **options)


def norm(**options):
    return nn.BatchNorm(in_channels=options.pop("channels", 8), **options)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (conv(use_bias=False), norm(epsilon=0.1), (2, 4, 9, 9)),
        (conv(), norm(scale=False), (2, 4, 9, 9)),
        (conv(groups=4), norm(center=False), (2, 4, 9, 9)),
        (nn.Conv1D(8, 3, in_channels=4), norm(), (2, 4, 9)),
        (nn.Dense(8, in_units=5), norm(), (2, 5)),
    ],
)
def test_a_batch_norm_goes_into_the_layer_before_it(layer, norm, shape):
    symbol, parameters = simplified(sequence(layer, norm), shape)
    assert ops_of(symbol) == ["FullyConnected" if len(shape) == 2 else "Convolution"]
    assert len(parameters) == 2


@pytest.mark.parametrize(
    "layers",
    [
        [norm(channels=4)],
        [conv(), nn.Activation("tanh"), norm()],
        [conv(), norm(axis=2, channels=7)],
        [nn.Dense(8, flatten=False, in_units=9), norm(channels=4)],
    ],
)
def test_a_batch_norm_of_something_else_stays(layers):
    symbol, _ = simplified(sequence(*layers), (2, 4, 9, 9))
    assert "BatchNorm" in ops_of(symbol)


class Shared(mx.gluon.HybridBlock):
    """A convolution whose output goes through a norm or past it, or through it for two inputs."""

    def __init__(self, past):
        super().__init__()
        self._past = past
        with self.name_scope():
            self.conv = nn.Conv2D(8, 3, in_channels=4)
            self.norm = nn.BatchNorm(in_channels=8)

    def hybrid_forward(self, F, x, y):
        if self._past:
            x = self.conv(x + y)
            return self.norm(x) + x
        return self.norm(self.conv(x)) + self.norm(self.conv(y))


def test_a_layer_that_is_read_twice_keeps_its_norm():
    symbol, _ = simplified(Shared(past=True), (2, 4, 9, 9), (2, 4, 9, 9))
    assert ops_of(symbol).count("BatchNorm") == 1


def test_a_layer_that_is_used_twice_has_its_weights_once():
    symbol, parameters = simplified(Shared(past=False), (2, 4, 9, 9), (2, 4, 9, 9))
    assert ops_of(symbol).count("Convolution") == 2
    assert "BatchNorm" not in ops_of(symbol)
    assert len(parameters) == 2


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_or_not_a_norm_is_gone(frozen):
    layers = FoldingSequential()
    layers.add(conv(use_bias=False), norm(), nn.Activation("relu"))
    if frozen:
        freeze_norms(layers)
    symbol, parameters = simplified(layers, (2, 4, 9, 9))
    assert ops_of(symbol) == ["Convolution", "Activation"]
    assert len(parameters) == 2


class Constants(mx.gluon.HybridBlock):
    """Arithmetic of parameters, one output of several, what does nothing, and a ReLU."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(6, 4))
            self.unused = self.params.get("unused", shape=(3,))
            self.dropout = nn.Dropout(0.5)

    def hybrid_forward(self, F, x, weight, unused):
        first, second = F.split(F.sqrt(weight) * 2, num_outputs=2, axis=0)
        x = F.BlockGrad(F.identity(x))
        hidden = F.FullyConnected(x, first + second, no_bias=True, num_hidden=3)
        shift = F.zeros_like(unused) + F.mean(second, axis=1)
        return F.broadcast_add(F.relu(self.dropout(hidden)), F.expand_dims(shift, axis=0))


def test_what_depends_on_parameters_alone_is_computed_once():
    symbol, parameters = simplified(Constants(), (2, 4))
    assert ops_of(symbol) == ["FullyConnected", "Activation", "broadcast_add"]
    assert sorted(array.shape for array in parameters.values()) == [(1, 3), (3, 4)]


class Noise(mx.gluon.HybridBlock):
    """Draws numbers; dropout of two kinds."""

    def hybrid_forward(self, F, x, weight):
        return F.Dropout(x + F.random.normal_like(weight), mode="always")

    def __init__(self):
        super().__init__()
        self.weight = self.params.get("weight", shape=(2, 3))


def test_what_is_drawn_is_drawn_anew():
    block = Noise()
    graph = Graph(block(mx.sym.var("data")))
    (name,) = block.collect_params()
    parameters = simplify(graph, {name: mx.nd.ones((2, 3))})
    assert list(parameters) == [name]
    assert len(ops_of(graph.symbol())) == 3

"""Graphs of small detectors, and how near the results of one in fewer bits have to be."""

import json

import mxnet as mx
import numpy as np
import pytest

from detkit.export.graph.graph import Graph
from detkit.export.graph.layer_names import name_layers
from detkit.export.graph.simplify import simplify
from detkit.export.symbol import trace
from detkit.ops import backend

needs_onednn = pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("MKLDNN"), reason="this MXNet has no oneDNN"
)
LOOPS = {"_foreach", "_while_loop", "_cond"}  # see detkit/ops/README.md, "A trap of MXNet"
INPUTS = ("images", "sizes")
SIZES = [(64, 80)], [(48, 96), (48, 70)]  # of the images of two batches
KEPT = {
    *("backbone.features.0", "rpn_head.deltas", "rpn_head.objectness"),
    *("roi_head.boxes", "roi_head.classes"),
}


def ops_of(symbol):
    """The operators of a graph, each as often as it is there."""
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"] if node["op"] != "null"]


def traced(model):
    """The named Graph of a network, and its parameters."""
    graph, parameters = trace(model, "mxnet")
    name_layers(graph, model)
    return graph, parameters


def assert_near(found, expected):
    """Scores to 0.06; a third of the boxes of the one is within 3 pixels of some of the other."""
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=0.06)
    for boxes, others in zip(found[0], expected[0]):
        distances = np.abs(boxes[:, None] - others[None]).max(axis=2).min(axis=1)
        assert np.mean(distances < 3) > 0.3, distances


class Block(mx.gluon.HybridBlock):
    """Two convolutions, and a function of what they give."""

    def __init__(self, combine):
        super().__init__()
        self._combine = combine
        with self.name_scope():
            self.one = mx.gluon.nn.Conv2D(16, 1, in_channels=16, use_bias=False)
            self.two = mx.gluon.nn.Conv2D(16, 3, padding=1, in_channels=16)

    def hybrid_forward(self, F, x):
        return self._combine(F, self.one(x), self.two(x))


def small_graph(block):
    """The simplified, named Graph of a block with random weights, and its parameters."""
    block.initialize()
    rng = np.random.default_rng(0)
    for parameter in block.collect_params().values():
        parameter.set_data(mx.nd.array(rng.normal(0, 0.3, parameter.shape)))
    with backend.using("mxnet"):
        graph = Graph(block(mx.sym.var("images")))
    parameters = simplify(
        graph, {name: each.data() for name, each in block.collect_params().items()}
    )
    name_layers(graph, block)
    return graph, parameters

"""What oneDNN joins with a layer, after the graph is rewritten for it."""

import mxnet as mx
import numpy as np
import pytest

from detkit.export.graph.fusion import fuse
from detkit.export.graph.graph import Graph
from detkit.export.precision.calibrate import runner
from detkit.models.layers import relu6
from detkit.models.necks import FPN
from detkit.ops import backend
from support.graphs import Block, needs_onednn, small_graph

pytestmark = [needs_onednn, pytest.mark.processor]


def test_a_bounded_rectifier_is_part_of_the_layer():
    graph, _ = small_graph(Block(lambda F, one, two: relu6(F, one) + relu6(F, two)))
    ops = [node.op for node in fuse(graph).nodes() if node.op]
    assert ops == ["_sg_mkldnn_conv", "_sg_mkldnn_conv", "elemwise_add"]


def test_the_sums_of_a_pyramid_are_part_of_its_layers():
    class Pyramid(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.neck = FPN([4, 4], [4, 8], channels=4, extra="none")

        def hybrid_forward(self, F, fine, coarse):
            return self.neck([fine, coarse])

    pyramid = Pyramid()
    pyramid.initialize()
    with backend.using("mxnet"):
        graph = Graph(mx.sym.Group(pyramid(mx.sym.var("fine"), mx.sym.var("coarse"))))
    parameters = {name: each.data() for name, each in pyramid.collect_params().items()}
    fused = fuse(graph)
    assert "elemwise_add" not in [node.op for node in fused.nodes()]
    data = [mx.nd.random.normal(shape=(2, 4, *size)) for size in ((7, 9), (4, 5))]
    found = runner(fused.symbol(), parameters, ["fine", "coarse"])(*data)
    for output, expected in zip(found, pyramid(*data)):
        np.testing.assert_allclose(output.asnumpy(), expected.asnumpy(), rtol=0, atol=1e-5)

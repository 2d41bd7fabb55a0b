"""Graphs of small detectors, and how near the results of one in fewer bits have to be."""

import json

import mxnet as mx
import numpy as np
import pytest

from detkit.export.graph.layer_names import name_layers
from detkit.export.symbol import trace

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

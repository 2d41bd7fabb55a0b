"""The names of layers, and the patterns that select them."""

from detkit.export.graph.layer_names import LAYERS, select
from support.exports import KINDS
from support.graphs import traced


def test_layers_have_names_of_their_own(small_model):
    graph, _ = traced(KINDS["RetinaNet"](small_model))
    names = [node.name for node in graph.nodes() if node.op]
    assert len(names) == len(set(names))
    layers = {node.name for node in graph.nodes() if node.op in LAYERS}
    assert {"neck.p6", "head.classes", "head.classes@2", "head.classes@3"} < layers
    assert select(graph, ["head.classes"]) == {f"head.classes{each}" for each in ("", "@2", "@3")}
    assert select(graph, ["head.classes@2"]) == {"head.classes@2"}

"""The names of layers, and the patterns that select them."""

from detkit.export.graph.layer_names import LAYERS, select
from detkit.models import AnchorGrid, RoIAlign
from detkit.models.backbones import ImagePyramid
from support.exports import KINDS
from support.graphs import traced
from support.small import SmallBackbone


def test_layers_have_names_of_their_own(small_model):
    graph, _ = traced(KINDS["RetinaNet"](small_model))
    names = [node.name for node in graph.nodes() if node.op]
    assert len(names) == len(set(names))
    layers = {node.name for node in graph.nodes() if node.op in LAYERS}
    assert {"neck.p6", "head.classes", "head.classes@2", "head.classes@3"} < layers
    assert select(graph, ["head.classes"]) == {f"head.classes{each}" for each in ("", "@2", "@3")}
    assert select(graph, ["head.classes@2"]) == {"head.classes@2"}


def test_the_first_layer_is_that_of_every_scale(small_model):
    backbone = ImagePyramid(SmallBackbone(), [1, 0.5])
    extractor = RoIAlign(backbone.strides, 8, size=3, combine="sum")
    anchors = AnchorGrid(backbone.strides, sizes=(12, 24), ratios=(0.25, 1, 4))
    model = small_model(backbone=backbone, roi_extractor=extractor, anchors=anchors)
    graph, _ = traced(model)
    first = "backbone.backbone.features.0"
    assert select(graph, ["first"]) == {first, f"{first}@2"}

"""oneDNN's fusion of a layer with the operators after it, and rewrites that let it fuse more."""

from typing import Any, Dict

import mxnet as mx

from detkit.errors import ExportError
from detkit.export.graph.graph import Graph, Node, Output
from detkit.export.graph.layer_names import LAYERS

FUSED = ("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected")
QUANTIZATION = "MKLDNN_QUANTIZE"  # the fusion that an 8-bit layer can follow


def fuse(graph: Graph) -> Graph:
    """Returns a Graph in which each layer is one operator with its ReLU and its sum.

    The operator has the name of the layer. ``graph`` is changed.
    """
    check_onednn()
    clip_symbol_rectifiers(graph)
    read_sizes_early(graph)
    fused = Graph(graph.symbol().get_backend_symbol(QUANTIZATION))
    for node in fused.nodes():
        if node.op in FUSED:
            node.name = layer_of(node)["name"]
    return fused


def layer_of(node: Node) -> Dict[str, Any]:
    """Returns the entry of the Convolution or FullyConnected within a fused operator."""
    (subgraph,) = node.subgraphs
    (layer,) = [entry for entry in subgraph["nodes"] if entry["op"] in LAYERS]
    return dict(layer)


def check_onednn() -> None:
    """Raises ExportError if MXNet is built without oneDNN."""
    if not mx.runtime.Features().is_enabled("MKLDNN"):
        raise ExportError(
            "INT8 and bfloat16: expected an MXNet built with oneDNN (MKLDNN), found MXNet "
            f"{mx.__version__} without it; install MXNet's wheel for Linux on x86"
        )


def clip_symbol_rectifiers(graph: Graph) -> None:
    """Replaces min(relu(x), s) after a convolution by the clip that oneDNN fuses with it."""
    readers = graph.readers()
    for node in graph.nodes():
        if node.op != "_minimum_scalar":
            continue
        relu = node.inputs[0].node
        rectified = relu.op == "Activation" and relu.attribute("act_type", "") == "relu"
        if (
            rectified
            and relu.inputs[0].node.op == "Convolution"
            and readers[node.inputs[0].place] == 1
        ):
            bound = node.attribute("scalar", 0.0)
            node.op, node.attributes = "clip", {"a_min": "0", "a_max": str(bound)}
            node.inputs = list(relu.inputs)


def read_sizes_early(graph: Graph) -> None:
    """Lets slice_like read height and width before a 1x1 convolution instead of after it.

    The convolution of a level of a pyramid then has one reader, its sum, and is fused with it.
    """
    for node in graph.nodes():
        if node.op != "slice_like" or node.attributes.get("axes") != "(2, 3)":
            continue
        data, like = node.inputs
        plane = []  # the nodes that detkit.ops.plane makes
        while like.node.op == "BlockGrad" or _slices_maps(like.node):
            plane.append(like.node)
            like = like.node.inputs[0]
        while _keeps_sizes(like.node):
            like = like.node.inputs[0]
        for step in reversed(plane):
            like = Output(Node(step.op, step.name, step.attributes, [like]))
        node.inputs = [data, like]


def _slices_maps(node: Node) -> bool:
    """Returns whether a node selects images or channels, and keeps height and width."""
    return node.op == "slice_axis" and node.attribute("axis", 0) in (0, 1)


def _keeps_sizes(node: Node) -> bool:
    """Returns whether a node is a 1x1 convolution of stride 1 without padding."""
    if node.op != "Convolution" or node.attribute("kernel", "") != "(1, 1)":
        return False
    stride, pad = node.attribute("stride", "(1, 1)"), node.attribute("pad", "(0, 0)")
    return stride == "(1, 1)" and pad == "(0, 0)"

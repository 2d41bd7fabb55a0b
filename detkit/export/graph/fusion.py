"""oneDNN's fusion of layers with what comes after them, and rewrites that let it find more."""

import mxnet as mx

from detkit.errors import ExportError
from detkit.export.graph.graph import Graph, Node, Output
from detkit.export.graph.layer_names import LAYERS

FUSED = ("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected")
QUANTIZATION = "MKLDNN_QUANTIZE"  # the fusion that 8-bit numbers can follow


def fuse(graph):
    """A Graph in which each layer is one operator with its ReLU and its sum, under its own name."""
    check_onednn()
    bound_rectifiers(graph)
    read_sizes_early(graph)
    fused = Graph(graph.symbol().get_backend_symbol(QUANTIZATION))
    for node in fused.nodes():
        if node.op in FUSED:
            node.name = layer_of(node)["name"]
    return fused


def layer_of(node):
    """The entry of the Convolution or FullyConnected within a fused operator."""
    (subgraph,) = node.subgraphs
    (layer,) = [entry for entry in subgraph["nodes"] if entry["op"] in LAYERS]
    return layer


def check_onednn():
    """Raise ExportError for an MXNet without oneDNN."""
    if not mx.runtime.Features().is_enabled("MKLDNN"):
        raise ExportError(
            "this MXNet has no oneDNN (MKLDNN), which INT8 and bfloat16 need; install MXNet's "
            "wheel for Linux on x86"
        )


def bound_rectifiers(graph):
    """min(relu(x), s) after a convolution as the clip that oneDNN knows."""
    readers = graph.readers()
    for node in graph.nodes():
        if node.op != "_minimum_scalar":
            continue
        relu = node.inputs[0].node
        rectified = relu.op == "Activation" and relu.attribute("act_type", "") == "relu"
        if (
            rectified
            and relu.inputs[0].node.op == "Convolution"
            and readers[node.inputs[0][:2]] == 1
        ):
            bound = node.attribute("scalar", 0.0)
            node.op, node.attributes = "clip", {"a_min": "0", "a_max": str(bound)}
            node.inputs = list(relu.inputs)


def read_sizes_early(graph):
    """Take the height and width for a slice_like from before a 1x1 convolution, not from after it.

    The convolution of a pyramid's level then has one reader, its sum, and is fused with that.
    """
    for node in graph.nodes():
        if node.op != "slice_like" or node.attributes.get("axes") != "(2, 3)":
            continue
        data, like = node.inputs
        plane = []  # what detkit.ops.plane does
        while like.node.op == "BlockGrad" or _slices_maps(like.node):
            plane.append(like.node)
            like = like.node.inputs[0]
        while _keeps_sizes(like.node):
            like = like.node.inputs[0]
        for each in reversed(plane):
            like = Output(Node(each.op, each.name, each.attributes, [like]))
        node.inputs = [data, Output(*like)]


def _slices_maps(node):
    return node.op == "slice_axis" and node.attribute("axis", 0) in (0, 1)


def _keeps_sizes(node):
    if node.op != "Convolution" or node.attribute("kernel", "") != "(1, 1)":
        return False
    stride, pad = node.attribute("stride", "(1, 1)"), node.attribute("pad", "(0, 0)")
    return stride == "(1, 1)" and pad == "(0, 0)"

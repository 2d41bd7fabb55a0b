"""Convolutions of 3x3 become detkit's own operator, which multiplies less."""

from typing import Dict

from detkit.export.graph.graph import Graph, Node, Output, Place

CONVOLUTION, WINOGRAD = "Convolution", "detkit_conv3x3"
# The attributes of the convolutions that the operator computes; an absent one is the default.
FITTING = {
    "kernel": ("(3, 3)", ""),
    "stride": ("(1, 1)", "(1, 1)"),
    "dilate": ("(1, 1)", "(1, 1)"),
    "pad": ("(1, 1)", ""),
    "num_group": ("1", "1"),
    "layout": ("NCHW", "NCHW"),
}


def use_winograd(graph: Graph) -> None:
    """Replaces each 3x3 convolution of stride 1, with a ReLU that alone reads it, in place.

    The other passes over a graph know MXNet's Convolution alone: this one comes last.
    """
    readers = graph.readers()
    rectified: Dict[Node, Node] = {}  # the ReLU of a convolution
    for node in graph.nodes():
        if node.op == "Activation" and node.attribute("act_type", "") == "relu":
            source = node.inputs[0]
            if _fits(source.node) and readers[source.place] == 1:
                rectified[source.node] = node
    replacements: Dict[Place, Output] = {}
    for node in graph.nodes():
        if _fits(node):
            no_bias = node.attribute("no_bias", False)
            node.op = WINOGRAD
            node.attributes = {"no_bias": str(no_bias), "relu": str(node in rectified)}
            if node in rectified:
                replacements[rectified[node], 0] = Output(node)
    graph.replace(replacements)


def _fits(node: Node) -> bool:
    """Returns whether a node is a convolution that the operator computes."""
    return node.op == CONVOLUTION and all(
        node.attribute(name, default) in (value, "None" if name == "layout" else value)
        for name, (value, default) in FITTING.items()
    )

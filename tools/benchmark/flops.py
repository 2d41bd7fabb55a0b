"""Multiply-adds of a network, counted in its graph."""

import json

import mxnet as mx
import numpy as np


def multiply_adds(model, shapes):
    """Those of one pass: convolutions, deconvolutions and fully connected layers, nothing else.

    shapes: {name: shape} of the network's inputs, in its order. A multiplication with its addition
    counts once, as in torchvision's and Detectron2's tables.
    """
    outputs = model(*(mx.sym.var(name, shape=shape) for name, shape in shapes.items()))
    graph = outputs if isinstance(outputs, mx.sym.Symbol) else mx.sym.Group(list(outputs))
    nodes = json.loads(graph.tojson())["nodes"]
    internals = graph.get_internals()
    _, sizes, _ = internals.infer_shape(**shapes)
    size_of = dict(zip(internals.list_outputs(), sizes))
    return sum(_of_node(node, nodes, size_of) for node in nodes)


def _of_node(node, nodes, size_of):
    if node["op"] not in ("Convolution", "Deconvolution", "FullyConnected"):
        return 0
    names = [_output(nodes[source], index) for source, index, *_ in node["inputs"][:2]]
    data, weight = (size_of[name] for name in names)
    # Each element of the output, or of a deconvolution's input, meets one filter.
    positions = data if node["op"] == "Deconvolution" else size_of[_output(node, 0)]
    return int(np.prod(positions, dtype=np.int64)) * int(np.prod(weight[1:], dtype=np.int64))


def _output(node, index):
    """The name that infer_shape gives an output of a node."""
    if node["op"] == "null":
        return node["name"]
    attributes = node.get("attrs", {})
    several = int(attributes.get("num_outputs", 1)) > 1
    return f"{node['name']}_output{index if several else ''}"

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
    described = json.loads(graph.tojson())
    nodes = described["nodes"]
    for number, node in enumerate(nodes):
        if node["op"] != "null":  # a layer that is called once for each level has one name
            node["name"] = f"node{number}"
    internals = mx.sym.load_json(json.dumps(described)).get_internals()
    _, sizes, _ = internals.infer_shape(**shapes)
    size_of = dict(zip(internals.list_outputs(), sizes))
    return sum(_of_node(node, nodes, size_of) for node in nodes)


def _of_node(node, nodes, size_of):
    if node["op"] not in ("Convolution", "Deconvolution", "FullyConnected"):
        return 0
    data, weight = (
        _size(nodes[source], index, size_of) for source, index, *_ in node["inputs"][:2]
    )
    # Each element of the output, or of a deconvolution's input, meets one filter.
    positions = data if node["op"] == "Deconvolution" else _size(node, 0, size_of)
    return int(np.prod(positions, dtype=np.int64) * np.prod(weight[1:], dtype=np.int64))


def _size(node, index, size_of):
    """The shape of an output of a node, whose name depends on how many there are."""
    name = node["name"]
    found = [n for n in (name, f"{name}_output", f"{name}_output{index}") if n in size_of]
    return size_of[found[0]]

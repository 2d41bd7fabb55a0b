"""Dense layers as 1x1 convolutions of maps of one pixel, for which detkit has an operator."""

from typing import Dict, List, Mapping

from detkit.export.graph.graph import Graph, Node, Output, Place
from detkit.typing import NDArray

DENSE, RELU = "FullyConnected", ("Activation", "relu")


def dense_to_convolutions(graph: Graph, parameters: Dict[str, NDArray]) -> None:
    """Replaces each dense layer of rows, in place; the convolution has its name.

    parameters: {name: array} of the graph, in which the weights (out, in) become (out, in, 1, 1).

    The reshaping back to rows comes after a ReLU that alone reads the layer, so that the ReLU can
    become a part of the convolution. A dense layer whose weights are no parameter, or have another
    reader, stays as it is.
    """
    only_readers, readers = graph.only_readers(), graph.readers()
    replacements: Dict[Place, Output] = {}
    for node in graph.nodes():
        if not _is_of_rows(node, parameters) or readers[node.inputs[1].place] > 1:
            continue
        weights = node.inputs[1].node
        array = parameters[weights.name]
        parameters[weights.name] = array.reshape((*array.shape, 1, 1))
        weights.attributes["__shape__"] = str(parameters[weights.name].shape)
        pixels = Node("Reshape", f"{node.name}_pixels", _shape([0, -1, 1, 1]), [node.inputs[0]])
        node.op, node.inputs[0] = "Convolution", Output(pixels)
        node.attributes = {
            "kernel": "(1, 1)",
            "num_filter": node.attributes["num_hidden"],
            "no_bias": str(node.attribute("no_bias", False)),
        }
        after = only_readers.get(node)
        last = after if after is not None and _is_relu(after) else node
        rows = Node("Reshape", f"{node.name}_rows", _shape([0, -1]), [Output(last)])
        replacements[last, 0] = Output(rows)
    graph.replace(replacements)


def _is_of_rows(node: Node, parameters: Mapping[str, NDArray]) -> bool:
    """Returns whether a node is a dense layer of all but the first axis, with known weights."""
    if node.op != DENSE or not node.attribute("flatten", True):
        return False
    return node.inputs[1].node.name in parameters


def _is_relu(node: Node) -> bool:
    return (node.op, node.attributes.get("act_type")) == RELU


def _shape(sides: List[int]) -> Dict[str, str]:
    return {"shape": str(tuple(sides))}

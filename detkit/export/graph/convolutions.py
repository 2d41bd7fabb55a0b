"""Convolutions that detkit has operators for, and what follows them: sums, ReLUs, resizing."""

import ast
from typing import Any, Collection, Dict, Mapping, Optional, Set, Tuple

from detkit.export.graph.dense import dense_to_convolutions
from detkit.export.graph.fusion import read_sizes_early
from detkit.export.graph.graph import Graph, Node, Output, Place
from detkit.export.graph.simplify import SUMS
from detkit.ops.convolution import CONV1X1, CONV3X3, MULTIPLYING, operator_for
from detkit.typing import NDArray

CONVOLUTION, BOUND = "Convolution", "_minimum_scalar"
MAX_POOL, UPSAMPLE = "detkit_max_pool", "detkit_upsample"
# The attributes of the poolings that detkit's operator computes, and MXNet's defaults.
POOLING = {
    "kernel": ("(2, 2)", ""),
    "stride": ("(2, 2)", "(1, 1)"),
    "pad": ("(0, 0)", "(0, 0)"),
    "pool_type": ("max", "max"),
    "pooling_convention": ("valid", "valid"),
    "global_pool": ("False", "False"),
    "layout": ("NCHW", "NCHW"),
}
REPEATING = {"scale": ("2", ""), "sample_type": ("nearest", ""), "num_args": ("1", "1")}


def use_own_convolutions(
    graph: Graph, parameters: Dict[str, NDArray], bfloat16: Collection[str] = ()
) -> None:
    """Replaces each convolution and dense layer that detkit has an operator for, in place.

    parameters: the arrays of the graph by name; weights of dense layers get two more axes.
    bfloat16: the names of the layers that multiply in bfloat16.

    The operator includes a ReLU and its upper bound, that of a 1x1 convolution also a sum before
    them, and that of a 3x3 convolution a pooling after them, if nothing else reads what is between.
    The other poolings and the upsampling of maps become detkit's, too: MXNet's are slow on plain
    maps.

    The other passes over a graph know MXNet's Convolution alone: this one comes last.
    """
    read_sizes_early(graph)
    dense_to_convolutions(graph, parameters)
    _use_own_resizing(graph)
    only_readers = graph.only_readers()
    replacements: Dict[Place, Output] = {}
    sums: Set[Node] = set()  # that are parts of a convolution now
    for node in graph.nodes():
        own = _own_operator(node, parameters)
        if own is None:
            continue
        attributes = _attributes_of(node, own, parameters, bfloat16)
        last = node
        if own == CONV1X1:
            last = _absorb_sum(node, only_readers, sums, attributes)
        last = _absorb_relu(last, only_readers, attributes)
        if own == CONV3X3:
            last = _absorb_pooling(last, only_readers, attributes)
        node.op = own
        node.attributes = {name: str(value) for name, value in attributes.items()}
        if last is not node:
            replacements[last, 0] = Output(node)
    graph.replace(replacements)


def _attributes_of(
    node: Node, own: str, parameters: Mapping[str, NDArray], bfloat16: Collection[str]
) -> Dict[str, Any]:
    """Returns the attributes of detkit's operator that do not depend on what follows it."""
    attributes: Dict[str, Any] = {"no_bias": node.attribute("no_bias", False)}
    if own in MULTIPLYING:
        attributes["bfloat16"] = node.name in bfloat16
    if own == CONV3X3:
        attributes["keeps"] = node.inputs[1].node.name in parameters
    else:
        attributes["stride"] = _value(node, "stride", (1, 1))[0]
    return attributes


def _use_own_resizing(graph: Graph) -> None:
    """Replaces poolings of 2x2 cells, and cells that are repeated twice and cut, in place."""
    for node in graph.nodes():
        if node.op == "Pooling" and _has(node, POOLING):
            node.op, node.attributes = MAX_POOL, {}
        elif node.op == "slice_like" and node.attributes.get("axes") == "(2, 3)":
            repeated, like = node.inputs
            if repeated.node.op == "UpSampling" and _has(repeated.node, REPEATING):
                node.op, node.attributes = UPSAMPLE, {}
                node.inputs = [repeated.node.inputs[0], like]


def _has(node: Node, attributes: Mapping[str, Tuple[str, str]]) -> bool:
    """Returns whether a node has attributes, {name: (the value, what MXNet takes if absent)}."""
    for name, (value, default) in attributes.items():
        found = node.attributes.get(name, "None")  # which MXNet writes for an absent one, too
        if (default if found == "None" else found) != value:
            return False
    return True


def _absorb_sum(
    node: Node, only_readers: Dict[Node, Node], sums: Set[Node], attributes: Dict[str, Any]
) -> Node:
    """Makes the sum after ``node`` a part of it; returns the last node of it.

    sums: those that are parts of a convolution already.
    """
    after = only_readers.get(node)
    if after is None or after.op not in SUMS or after in sums:
        attributes["residual"] = False
        return node
    attributes["residual"] = True
    node.inputs += [source for source in after.inputs if source.node is not node]
    sums.add(after)
    return after


def _absorb_relu(node: Node, only_readers: Dict[Node, Node], attributes: Dict[str, Any]) -> Node:
    """Writes the ReLU after ``node`` into the attributes; returns the last node of it."""
    attributes.update(relu=False, most="inf")
    relu = only_readers.get(node)
    if relu is None or relu.op != "Activation" or relu.attribute("act_type", "") != "relu":
        return node
    attributes["relu"] = True
    bound = only_readers.get(relu)
    if bound is None or bound.op != BOUND or bound.attribute("scalar", 0.0) <= 0:
        return relu
    attributes["most"] = bound.attribute("scalar", 0.0)
    return bound


def _absorb_pooling(node: Node, only_readers: Dict[Node, Node], attributes: Dict[str, Any]) -> Node:
    """Writes the pooling after ``node`` into the attributes; returns the last node of it."""
    pooling = only_readers.get(node)
    if pooling is None or pooling.op != MAX_POOL:
        attributes["pools"] = False
        return node
    attributes["pools"] = True
    return pooling


def _own_operator(node: Node, parameters: Mapping[str, NDArray]) -> Optional[str]:
    """Returns the name of detkit's operator for a node, or None if it has none."""
    if node.op != CONVOLUTION:
        return None
    arguments = {
        "kernel": _value(node, "kernel", ()),
        "stride": _value(node, "stride", (1, 1)),
        "pad": _value(node, "pad", (0, 0)),
        "dilate": _value(node, "dilate", (1, 1)),
        "num_group": node.attribute("num_group", 1),
        "num_filter": node.attribute("num_filter", 0),
    }
    weight = parameters.get(node.inputs[1].node.name)
    shape = () if weight is None else weight.shape
    layout = node.attribute("layout", "NCHW")
    return operator_for({**arguments, "layout": None if layout == "None" else layout}, shape)


def _value(node: Node, name: str, default: Any) -> Any:
    """Returns an attribute that is a tuple of numbers."""
    text = node.attributes.get(name)
    return default if text is None or text == "()" else ast.literal_eval(text)

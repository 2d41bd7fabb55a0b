"""Removes from a graph the work that only training needs, and computes constants once."""

import hashlib
import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.ndarray.ndarray import _DTYPE_NP_TO_MX

from detkit.export.graph.graph import Graph, Node, Output, Place
from detkit.typing import NDArray, Symbol

# Without gradients and outside of training, these return their input.
IDENTITIES = ("_copy", "BlockGrad", "Dropout")
RANDOM = re.compile(r"_?(random|sample)_|_shuffle")
SUMS = ("elemwise_add", "_plus", "_Plus")


def simplify(graph: Graph, parameters: Mapping[str, NDArray]) -> Dict[str, NDArray]:
    """Rewrites a Graph for inference in place; the results stay the same up to rounding.

    parameters: {name: NDArray} of the variables that are no inputs.

    Returns the parameters of the new graph.
    """
    values = Values(parameters)
    remove_identities(graph)
    fold_constants(graph, values)
    fold_batch_norms(graph, values)
    name_rectifiers(graph)
    used = values.used(graph)
    describe(graph, used)
    return used


class Values:
    """The parameters of a graph and their variables. Added parameters that are equal become one."""

    def __init__(self, parameters: Mapping[str, NDArray]) -> None:
        self._arrays = dict(parameters)
        # {(shape, type, hash): variable}
        self._added: Dict[Tuple[Tuple[int, ...], str, bytes], Node] = {}

    def of(self, output: Output) -> Optional[NDArray]:
        """Returns the NDArray of a parameter, None for any other output."""
        return self._arrays.get(output.node.name) if output.node.op is None else None

    def add(self, name: str, array: NDArray) -> Output:
        """Adds a parameter ``folded_NAME``, unless there is an equal one; returns its Output."""
        content = array.asnumpy()
        key = content.shape, content.dtype.str, hashlib.sha256(content.tobytes()).digest()
        if key not in self._added:
            self._added[key] = Node(None, f"folded_{name}")
            self._arrays[f"folded_{name}"] = array
        return Output(self._added[key])

    def used(self, graph: Graph) -> Dict[str, NDArray]:
        """Returns {name: NDArray} of the parameters that the graph reads."""
        names = [node.name for node in graph.variables()]
        return {name: self._arrays[name] for name in names if name in self._arrays}


def remove_identities(graph: Graph) -> None:
    """Makes the readers of an identity read the identity's input."""
    graph.replace(
        {
            (node, 0): node.inputs[0]
            for node in graph.nodes()
            if node.op in IDENTITIES and node.attribute("mode", "training") == "training"
        }
    )


def fold_constants(graph: Graph, values: Values) -> None:
    """Computes the outputs that depend on parameters alone, and makes them parameters."""
    constant = set()
    for node in graph.nodes():
        known = [source.node in constant or values.of(source) is not None for source in node.inputs]
        if node.op and known and all(known) and not node.subgraphs and not RANDOM.match(node.op):
            constant.add(node)
    read = graph.outputs + [
        source for node in graph.nodes() if node not in constant for source in node.inputs
    ]
    results = {output.place: output for output in read if output.node in constant}
    if not results:
        return
    symbol = graph.symbol(list(results.values()))
    arrays = _evaluate(symbol, values)
    names = [f"{node.name}_{index}" if index else node.name for node, index in results]
    graph.replace(
        {place: values.add(name, array) for place, name, array in zip(results, names, arrays)}
    )


def _evaluate(symbol: Symbol, values: Values) -> List[NDArray]:
    """Returns the outputs of a Symbol that reads parameters alone."""
    given = [values.of(Output(Node(None, name))) for name in symbol.list_inputs()]
    arrays = mx.nd.CachedOp(symbol)(*given)
    return arrays if isinstance(arrays, list) else [arrays]


def fold_batch_norms(graph: Graph, values: Values) -> None:
    """Multiplies the scale of a batch norm into the layer before it, and adds its shift there."""
    readers = graph.readers()
    replacements: Dict[Place, Output] = {}
    for norm in graph.nodes():
        if norm.op != "BatchNorm" or {(norm, 1), (norm, 2)} & set(readers):
            continue
        layer, statistics = norm.inputs[0].node, [values.of(source) for source in norm.inputs[1:]]
        weights = [values.of(source) for source in layer.inputs[1:]]
        known = all(array is not None for array in statistics + weights)
        if known and _has_channels_first(layer, norm) and readers[norm.inputs[0].place] == 1:
            weight, bias = _layer_with_norm(norm, statistics, *weights)
            source = [layer.inputs[0], values.add(f"{layer.name}_weight", weight)]
            source.append(values.add(f"{layer.name}_bias", bias))
            attributes = {**layer.attributes, "no_bias": "False"}
            folded = Node(layer.op, layer.name, attributes, source)
            replacements[norm, 0] = Output(folded)
    graph.replace(replacements)


def _has_channels_first(layer: Node, norm: Node) -> bool:
    """Returns whether the axis of the norm is the first axis of the layer's weight."""
    plain = layer.attribute("layout", "None") in ("None", "NCW", "NCHW", "NCDHW")
    convolution = layer.op == "Convolution" and plain
    dense = layer.op == "FullyConnected" and layer.attribute("flatten", True)
    return (convolution or dense) and norm.attribute("axis", 1) == 1


def _layer_with_norm(
    norm: Node, statistics: Sequence[NDArray], weight: NDArray, bias: Optional[NDArray] = None
) -> Tuple[NDArray, NDArray]:
    """Returns the weight and the bias of a layer that does the work of the norm after it, too.

    statistics: gamma, beta, mean and variance of the norm.
    """
    gamma, beta, mean, variance = (array.asnumpy().astype("float64") for array in statistics)
    if norm.attribute("fix_gamma", True):
        gamma = np.ones_like(gamma)
    scale = gamma / np.sqrt(variance + norm.attribute("eps", 1e-3))
    shift = beta + ((0 if bias is None else bias.asnumpy()) - mean) * scale
    weight = weight.asnumpy()
    return mx.nd.array(weight * scale.reshape((-1,) + (1,) * (weight.ndim - 1))), mx.nd.array(shift)


def name_rectifiers(graph: Graph) -> None:
    """Replaces relu after a layer by the Activation that MXNet's fusion for oneDNN looks for."""
    for node in graph.nodes():
        if node.op != "relu":
            continue
        before = node.inputs[0].node
        layers = [before]
        if before.op in SUMS:
            layers += [source.node for source in before.inputs]
        if any(layer.op in ("Convolution", "FullyConnected") for layer in layers):
            node.op, node.attributes = "Activation", {"act_type": "relu"}


def describe(graph: Graph, parameters: Mapping[str, NDArray]) -> None:
    """Reduces the attributes of each parameter to its shape and type, which inference needs."""
    for node in graph.variables():
        if node.name in parameters:
            array = parameters[node.name]
            number = str(_DTYPE_NP_TO_MX[array.dtype])
            node.attributes = {"__shape__": str(array.shape), "__dtype__": number}

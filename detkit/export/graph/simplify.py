"""Work that training or Python needs and inference does not, taken out of a graph for good."""

import hashlib
import re

import mxnet as mx
import numpy as np
from mxnet.ndarray.ndarray import _DTYPE_NP_TO_MX

from detkit.export.graph.graph import Node, Output

# What these do is for gradients or for training.
IDENTITIES = ("_copy", "BlockGrad", "Dropout")
RANDOM = re.compile(r"_?(random|sample)_|_shuffle")
SUMS = ("elemwise_add", "_plus", "_Plus")


def simplify(graph, parameters):
    """Rewrite a Graph of inference in place, to the same results up to rounding.

    parameters: {name: NDArray} of its variables that are no inputs. Returns those of the new graph.
    """
    values = Values(parameters)
    drop_identities(graph)
    fold_constants(graph, values)
    fold_batch_norms(graph, values)
    name_rectifiers(graph)
    used = values.used(graph)
    describe(graph, used)
    return used


class Values:
    """The parameters of a graph, and their variables; equal ones that are added are one."""

    def __init__(self, parameters):
        self._arrays = dict(parameters)
        self._added = {}  # (shape, type, hash) -> its variable

    def of(self, output):
        """The NDArray of a parameter, None for anything else."""
        return self._arrays.get(output.node.name) if output.node.op is None else None

    def add(self, name, array):
        """The Output of a new parameter ``folded_NAME``, or of an older one that is the same."""
        content = array.asnumpy()
        key = content.shape, content.dtype.str, hashlib.sha256(content.tobytes()).digest()
        if key not in self._added:
            self._added[key] = Node(None, f"folded_{name}")
            self._arrays[f"folded_{name}"] = array
        return Output(self._added[key])

    def used(self, graph):
        """{name: NDArray} of the parameters that are in the graph."""
        outputs = map(Output, graph.variables())
        found = {output.node.name: self.of(output) for output in outputs}
        return {name: array for name, array in found.items() if array is not None}


def drop_identities(graph):
    """Let what reads an identity read what the identity reads."""
    graph.replace(
        {
            (node, 0): node.inputs[0]
            for node in graph.nodes()
            if node.op in IDENTITIES and node.attribute("mode", "training") == "training"
        }
    )


def fold_constants(graph, values):
    """Compute, once, what depends on parameters alone, and make parameters of the results."""
    constant = set()
    for node in graph.nodes():
        known = [source.node in constant or values.of(source) is not None for source in node.inputs]
        if known and all(known) and not node.subgraphs and not RANDOM.match(node.op):
            constant.add(node)
    read = graph.outputs + [
        source for node in graph.nodes() if node not in constant for source in node.inputs
    ]
    results = {output[:2]: output for output in read if output.node in constant}
    if not results:
        return
    symbol = graph.symbol(list(results.values()))
    arrays = _evaluate(symbol, values)
    names = [f"{node.name}_{index}" if index else node.name for node, index in results]
    graph.replace(
        {place: values.add(name, array) for place, name, array in zip(results, names, arrays)}
    )


def _evaluate(symbol, values):
    """The NDArrays of a Symbol of parameters."""
    given = [values.of(Output(Node(None, name))) for name in symbol.list_inputs()]
    arrays = mx.nd.CachedOp(symbol)(*given)
    return arrays if isinstance(arrays, list) else [arrays]


def fold_batch_norms(graph, values):
    """Put what a batch norm multiplies and adds at inference into the layer before it."""
    readers = graph.readers()
    replacements = {}
    for norm in graph.nodes():
        if norm.op != "BatchNorm" or {(norm, 1), (norm, 2)} & set(readers):
            continue
        layer, numbers = norm.inputs[0].node, [values.of(each) for each in norm.inputs[1:]]
        weights = [values.of(each) for each in layer.inputs[1:]]
        known = all(array is not None for array in numbers + weights)
        if known and _has_channels_first(layer, norm) and readers[norm.inputs[0][:2]] == 1:
            weight, bias = _folded(norm, numbers, *weights)
            source = [layer.inputs[0], values.add(f"{layer.name}_weight", weight)]
            source.append(values.add(f"{layer.name}_bias", bias))
            attributes = {**layer.attributes, "no_bias": "False"}
            folded = Node(layer.op, layer.name, attributes, source)
            replacements[norm, 0] = Output(folded)
    graph.replace(replacements)


def _has_channels_first(layer, norm):
    """Whether a layer's outputs are along the first axis of its weight and the norm's axis."""
    plain = layer.attribute("layout", "None") in ("None", "NCW", "NCHW", "NCDHW")
    convolution = layer.op == "Convolution" and plain
    dense = layer.op == "FullyConnected" and layer.attribute("flatten", True)
    return (convolution or dense) and norm.attribute("axis", 1) == 1


def _folded(norm, numbers, weight, bias=None):
    """Weight and bias of the layer and the norm together."""
    gamma, beta, mean, variance = (array.asnumpy().astype("float64") for array in numbers)
    if norm.attribute("fix_gamma", True):
        gamma = np.ones_like(gamma)
    scale = gamma / np.sqrt(variance + norm.attribute("eps", 1e-3))
    shift = beta + ((0 if bias is None else bias.asnumpy()) - mean) * scale
    weight = weight.asnumpy()
    return mx.nd.array(weight * scale.reshape((-1,) + (1,) * (weight.ndim - 1))), mx.nd.array(shift)


def name_rectifiers(graph):
    """Call a ReLU after a layer by the name under which MXNet's fusion for oneDNN looks for it."""
    for node in graph.nodes():
        if node.op != "relu":
            continue
        before = node.inputs[0].node
        layers = [before, *(each.node for each in before.inputs)] if before.op in SUMS else [before]
        if any(layer.op in ("Convolution", "FullyConnected") for layer in layers):
            node.op, node.attributes = "Activation", {"act_type": "relu"}


def describe(graph, parameters):
    """Write shape and type of each parameter into its variable: all that inference needs there."""
    for node in graph.variables():
        if node.name in parameters:
            array = parameters[node.name]
            number = str(_DTYPE_NP_TO_MX[array.dtype])
            node.attributes = {"__shape__": str(array.shape), "__dtype__": number}

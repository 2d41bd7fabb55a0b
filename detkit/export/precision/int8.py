"""MXNet's pass that makes the layers of a graph 8-bit, and the ranges that it gets."""

from typing import Dict, Mapping, Set, Tuple

from mxnet.contrib import quantization

from detkit.export.graph.fusion import FUSED, QUANTIZATION
from detkit.export.graph.graph import Graph, Node, Output, Place
from detkit.export.precision.calibrate import Range
from detkit.typing import NDArray, Symbol

BETWEEN = ("Pooling",)  # operators that can pass 8-bit numbers on from one layer to the next
HALF = 127 / 255  # the largest number with a sign, relative to the largest one without


def to_int8(
    graph: Graph, parameters: Dict[str, NDArray], kept: Set[str], ranges: Mapping[str, Range]
) -> Tuple[Symbol, Dict[str, NDArray]]:
    """Returns the Symbol of a fused Graph with 8-bit layers, and its parameters {name: NDArray}.

    kept: the names of the layers that stay float32. ranges: {tensor: (smallest, largest)}.
    """
    others = {node.op for node in graph.nodes() if node.op} - {*FUSED, *BETWEEN}
    symbol, _, _, collector = quantization.quantize_graph(
        graph.symbol(),
        parameters,
        {},
        excluded_sym_names=sorted(kept),
        excluded_op_names=sorted(others),
        calib_mode="naive",
        quantized_dtype="auto",  # without a sign if there are no negative values
        quantize_mode="smart",
        quantize_granularity="channel-wise",
    )
    collector.min_max_dict = {name: ranges[name] for name in collector.include_layer}
    symbol, arrays, _ = quantization.calib_graph(
        symbol, parameters, {}, collector, calib_mode="naive", logger=None
    )
    symbol = symbol.get_backend_symbol(QUANTIZATION)
    used = set(symbol.list_inputs())
    return symbol, {name: array for name, array in arrays.items() if name in used}


def tensors_of(graph: Graph, parameters: Mapping[str, NDArray]) -> Dict[str, Output]:
    """Returns {name: Output} of the inputs and outputs of layers, under the names of MXNet's pass.

    graph: fused. parameters: {name: NDArray}, which are no inputs in this sense.
    """
    outputs: Dict[Place, Output] = {}
    for node in graph.nodes():
        if node.op in (*FUSED, *BETWEEN):
            data = [source for source in node.inputs if source.node.name not in parameters]
            outputs.update((output.place, output) for output in [*data, Output(node)])
    names = graph.symbol(list(outputs.values())).list_outputs()
    return dict(zip(names, outputs.values()))


def sums_in_place(
    graph: Graph, tensors: Mapping[str, Output], ranges: Mapping[str, Range]
) -> Tuple[Set[str], Set[str]]:
    """Returns the names of two kinds of sums: tensors of 7 bits, and layers that stay float32.

    oneDNN adds the result of a layer to the other summand in place. The sum therefore has the type
    of the other summand, with a sign or without. If only the other summand has a sign, the sum has
    7 of its 8 bits. If only the sum has a sign, it cannot be stored.

    graph: fused. tensors: from ``tensors_of``. ranges: {tensor: (smallest, largest)}.
    """
    names = {output.place: name for name, output in tensors.items()}
    halves, impossible = set(), set()
    for node in graph.nodes():
        if node.op not in FUSED or node.attributes.get("with_sum") != "true":
            continue
        result = names[node, 0]
        summand_has_sign = ranges[names[node.inputs[-1].place]][0] < 0
        result_has_sign = ranges[result][0] < 0
        if summand_has_sign and not result_has_sign:
            halves.add(result)
        elif result_has_sign and not summand_has_sign:
            impossible.add(node.name)
    return halves, impossible


def tensors_that_saturate(
    graph: Graph,
    parameters: Mapping[str, NDArray],
    tensors: Mapping[str, Output],
    kept: Set[str],
) -> Set[str]:
    """Returns the names of the tensors that need 7 bits on CPUs without VNNI if they have no sign.

    oneDNN adds two products of 8-bit numbers in 16 bits there, and saturates: 2 x 255 x 127 is more
    than 32,767, and 2 x 127 x 127 is not (oneDNN's "Nuances of int8 Computations").

    Three kinds of tensors may have 8 bits. For tensors with a sign, oneDNN itself uses one bit less
    of the weights. Depthwise layers add one product at a time, in 32 bits. And the clip at the end
    of a layer, such as that of ReLU6, is done by MXNet through the end of the range alone, so that
    the range must stay.

    graph: fused. tensors: from ``tensors_of``. kept: the names of layers that stay float32.
    """
    names = {output.place: name for name, output in tensors.items()}
    read: Set[str] = set()
    for node in graph.nodes():
        if node.op not in FUSED or node.name in kept or _is_depthwise(node, parameters):
            continue
        chain = [node.inputs[0]]
        while chain[-1].node.op in BETWEEN:  # such an operator has the range of its input
            chain.append(chain[-1].node.inputs[0])
        if not _is_clipped(chain[-1].node):
            read.update(names[output.place] for output in chain)
    return read


def with_half_ranges(ranges: Mapping[str, Range], names: Set[str]) -> Dict[str, Range]:
    """Returns ``ranges`` in which the tensors ``names`` without a sign use half of the numbers."""
    return {
        name: (0.0, largest / HALF) if name in names and smallest >= 0 else (smallest, largest)
        for name, (smallest, largest) in ranges.items()
    }


def _is_depthwise(layer: Node, parameters: Mapping[str, NDArray]) -> bool:
    """Returns whether each output of a fused layer is a sum over one input channel alone."""
    return bool(parameters[layer.inputs[1].node.name].shape[1] == 1)


def _is_clipped(node: Node) -> bool:
    """Returns whether a node is a fused layer that ends with a clip."""
    inside = [entry["op"] for subgraph in node.subgraphs for entry in subgraph["nodes"]]
    return node.op in FUSED and "clip" in inside

"""MXNet's pass that makes the layers of a graph 8-bit ones, and the ranges that it is given."""

from mxnet.contrib import quantization

from detkit.export.graph.fusion import FUSED, QUANTIZATION
from detkit.export.graph.graph import Output

BETWEEN = ("Pooling",)  # may stay 8 bits wide between two layers
HALF = 127 / 255  # how far numbers with a sign reach, of those without


def to_int8(graph, parameters, kept, ranges):
    """The Symbol of a fused Graph with 8-bit layers, and its parameters {name: NDArray}.

    kept: the names of layers that stay as they are. ranges: {tensor: (smallest, largest)}.
    """
    others = {node.op for node in graph.nodes() if node.op} - {*FUSED, *BETWEEN}
    symbol, _, _, collector = quantization.quantize_graph(
        graph.symbol(),
        parameters,
        {},
        excluded_sym_names=sorted(kept),
        excluded_op_names=sorted(others),
        calib_mode="naive",
        quantized_dtype="auto",  # without a sign where there are no negative values
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


def tensors(graph, parameters):
    """{name: Output} of what layers read and give, under the names by which the pass knows them."""
    outputs = {}
    for node in graph.nodes():
        if node.op in (*FUSED, *BETWEEN):
            data = [source for source in node.inputs if source.node.name not in parameters]
            outputs.update((output[:2], output) for output in [*data, Output(node)])
    names = graph.symbol(list(outputs.values())).list_outputs()
    return dict(zip(names, outputs.values()))


def sums_in_place(graph, found, ranges):
    """The layers that add to a tensor in place, where that and the result differ in having a sign.

    oneDNN adds in place: the result is as wide as the other summand, with a sign or without. A
    rectified result beside a sign has 7 of the 8 bits. A result with a sign cannot be kept where
    there was none.

    found: what ``tensors`` gives. Returns two sets of names: the tensors with 7 bits, and the
    layers that cannot be 8-bit ones.
    """
    names = {output[:2]: name for name, output in found.items()}
    halves, impossible = set(), set()
    for node in graph.nodes():
        if node.op not in FUSED or node.attributes.get("with_sum") != "true":
            continue
        result = names[node, 0]
        beside_a_sign = ranges[names[node.inputs[-1][:2]]][0] < 0
        has_a_sign = ranges[result][0] < 0
        if beside_a_sign and not has_a_sign:
            halves.add(result)
        elif has_a_sign and not beside_a_sign:
            impossible.add(node.name)
    return halves, impossible


def saturating(graph, parameters, found, kept):
    """The names of the tensors, a set, of which 8-bit layers may read no more than 7 bits where
    the CPU has no VNNI, if they have no sign.

    oneDNN then adds two products of 8 bits in 16 and saturates: 2 x 255 x 127 is more than 32,767,
    and 2 x 127 x 127 is not (oneDNN's "Nuances of int8 Computations").

    Three things may have 8. Of numbers with a sign, oneDNN itself leaves a bit of the weights
    unused. Depthwise layers add one product at a time, in 32 bits. And where a layer ends with a
    bound, ReLU6's, MXNet has that bound kept by the end of the range alone.

    found: what ``tensors`` gives. kept: the names of layers that stay float32.
    """
    names = {output[:2]: name for name, output in found.items()}
    read = set()
    for node in graph.nodes():
        if node.op not in FUSED or node.name in kept or _is_depthwise(node, parameters):
            continue
        chain = [node.inputs[0]]
        while chain[-1].node.op in BETWEEN:  # they pass on the range that they read
            chain.append(chain[-1].node.inputs[0])
        if not _is_bounded(chain[-1].node):
            read.update(names[output[:2]] for output in chain)
    return read


def halved(ranges, names):
    """``ranges`` in which the tensors ``names`` that have no sign use half of the numbers."""
    return {
        name: (0.0, largest / HALF) if name in names and smallest >= 0 else (smallest, largest)
        for name, (smallest, largest) in ranges.items()
    }


def _is_depthwise(layer, parameters):
    """Whether each result of a fused layer is a sum over one channel alone."""
    return parameters[layer.inputs[1].node.name].shape[1] == 1


def _is_bounded(node):
    """Whether a node is a fused layer that ends with a clip."""
    inside = [entry["op"] for subgraph in node.subgraphs for entry in subgraph["nodes"]]
    return node.op in FUSED and "clip" in inside

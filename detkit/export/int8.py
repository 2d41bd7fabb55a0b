"""MXNet's pass that makes the layers of a graph 8-bit ones, and the ranges that it is given."""

from mxnet.contrib import quantization

from detkit.export.fusion import FUSED, QUANTIZATION
from detkit.export.graph import Output

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


def align_sums(graph, found, ranges):
    """Change ``ranges`` where a layer adds to a tensor that has a sign and its result has none.

    oneDNN adds in place: the result is as wide as the other summand, with a sign or without.
    Numbers that have one reach half as far, so a rectified result gets twice the range. A result
    with a sign cannot be kept where there was none.

    found: what ``tensors`` gives. Returns two sets: the names of the layers that cannot be 8-bit
    ones, and those of the tensors that got twice the range.
    """
    names = {output[:2]: name for name, output in found.items()}
    impossible, doubled = set(), set()
    for node in graph.nodes():
        if node.op not in FUSED or node.attributes.get("with_sum") != "true":
            continue
        result = names[node, 0]
        signed, (smallest, largest) = ranges[names[node.inputs[-1][:2]]][0] < 0, ranges[result]
        if signed and smallest >= 0:
            ranges[result] = 0.0, largest / HALF
            doubled.add(result)
        elif smallest < 0 and not signed:
            impossible.add(node.name)
    return impossible, doubled


def leave_a_bit(graph, found, ranges, doubled):
    """Change ``ranges`` so that what layers read uses 7 of 8 bits where it has no sign.

    Without VNNI, oneDNN adds two products of 8 bits in 16 and saturates: 2 x 255 x 127 is more
    than 32,767, and 2 x 127 x 127 is not (oneDNN's "Nuances of int8 Computations"). Where numbers
    have a sign, oneDNN itself leaves a bit of the weights unused.

    found: what ``tensors`` gives. doubled: tensors that use 7 bits already.
    """
    names = {output[:2]: name for name, output in found.items()}
    read = set()
    for node in graph.nodes():
        if node.op in FUSED:
            source = node.inputs[0]
            read.add(source[:2])
            while source.node.op in BETWEEN:  # they pass on the range that they read
                source = source.node.inputs[0]
                read.add(source[:2])
    for name in {names[output] for output in read if output in names} - doubled:
        smallest, largest = ranges[name]
        if smallest >= 0:
            ranges[name] = 0.0, largest / HALF

"""What 8 bits cost in each layer: its output for one image, beside that of the same layer in
float32 with the same input."""

import json
from typing import List, NamedTuple

import mxnet as mx
import numpy as np

from detkit.export.graph.fusion import FUSED, layer_of
from detkit.export.graph.graph import Graph, Node, Output
from detkit.export.precision.calibrate import runner
from detkit.export.precision.int8 import to_int8

TWIN = "'"  # after the name of a layer that is in a graph a second time


class LayerError(NamedTuple):
    """Of one layer, its name and operator, and how much stronger its output is than the error.

    sqnr: the ratio of signal to quantisation noise in dB; 20 dB is an error of a tenth.
    """

    layer: str
    operator: str
    sqnr: float


class QuantizationReport(NamedTuple):
    """Of a quantised graph: how it was calibrated, the layers that were kept, each other's error.

    kept: those asked for, and those whose sum oneDNN cannot do in 8 bits. layers: the worst first.
    """

    mode: str
    kept: List[str]
    layers: List[LayerError]

    def text(self):
        """What quantization.json holds."""
        layers = [layer._asdict() for layer in self.layers]
        return json.dumps({**self._asdict(), "layers": layers}, indent=1, ensure_ascii=False) + "\n"

    def table(self):
        """Lines to be printed, the worst layer first."""
        width = max([len("layer"), *(len(layer.layer) for layer in self.layers)])
        lines = [f"{'layer':{width}}  signal/noise"]
        lines += [f"{each.layer:{width}}  {each.sqnr:9.1f} dB" for each in self.layers]
        return "\n".join([*lines, f"float32: {', '.join(self.kept) or 'no layer'}"])


def layer_errors(graph, parameters, kept, ranges, inputs, example):
    """The LayerErrors of a fused Graph for one image, the worst first.

    Every layer that is not ``kept`` gets a twin that reads the same and that nothing else reads;
    only twins are quantised. So no layer suffers from those before it, and the RoIs are the same.
    """
    nodes = [node for node in graph.nodes() if node.op]
    layers = [node for node in nodes if node.op in FUSED and node.name not in kept]
    if not layers:
        return []
    twins = {f"{node.name}{TWIN}_output": ranges[f"{node.name}_output"] for node in layers}
    symbol, parameters = to_int8(
        _with_twins(graph, layers), parameters, {node.name for node in nodes}, {**ranges, **twins}
    )
    powers = [output.asnumpy() for output in runner(symbol, parameters, inputs)(*example)]
    errors = [
        LayerError(node.name, layer_of(node)["op"], _decibels(*power))
        for node, power in zip(layers, powers)
    ]
    return sorted(errors, key=lambda error: error.sqnr)


def _with_twins(graph, layers):
    """A Graph whose outputs are (power of the output, power of the error) of each layer."""
    outputs = []
    for node in layers:
        outputs += [Output(node), Output(_twin(node))]
    pairs = graph.symbol(outputs)
    powers = [
        mx.sym.stack(*(mx.sym.sum(mx.sym.square(each)) for each in (exact, rounded - exact)))
        for exact, rounded in zip(pairs[::2], pairs[1::2])
    ]
    return Graph(mx.sym.Group(powers))


def _twin(node):
    """A copy; MXNet's pass goes by the names within it too, so that these are others as well."""
    (subgraph,) = node.subgraphs
    inside = [{**entry, "name": entry["name"] + TWIN} for entry in subgraph["nodes"]]
    copies = [{**subgraph, "nodes": inside}]
    return Node(node.op, node.name + TWIN, node.attributes, node.inputs, copies)


def _decibels(signal, noise):
    """10 log10 of a ratio; 0 for a layer whose output is nothing but zeros."""
    tiny = np.finfo("float32").tiny
    return 10 * float(np.log10(float(max(signal, tiny)) / float(max(noise, tiny))))

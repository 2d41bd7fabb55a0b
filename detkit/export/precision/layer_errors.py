"""The error that 8 bits cause in each layer.

A layer's output in INT8 for one image is compared with its output in float32 for the same input.
"""

import json
from typing import Dict, List, Mapping, NamedTuple, Sequence, Set

import mxnet as mx
import numpy as np

from detkit.export.graph.fusion import FUSED, layer_of
from detkit.export.graph.graph import Graph, Node, Output
from detkit.export.precision.calibrate import Example, Range, runner
from detkit.export.precision.int8 import to_int8
from detkit.typing import NDArray

TWIN = "'"  # the suffix of the name of a copy of a layer


class LayerError(NamedTuple):
    """The error of one layer.

    layer, operator: the name of the layer and MXNet's name of its operator.
    sqnr: the ratio of the signal to the quantisation noise in dB; 20 dB is an error of a tenth.
    """

    layer: str
    operator: str
    sqnr: float


class QuantizationReport(NamedTuple):
    """How a graph was quantised.

    mode: how it was calibrated, "naive" or "entropy".
    kept: the layers that stay float32, because they match a pattern or because oneDNN cannot
        compute their sum in 8 bits.
    layers: the errors of the other layers, the largest first.
    """

    mode: str
    kept: List[str]
    layers: List[LayerError]

    def text(self) -> str:
        """Returns the content of quantization.json."""
        layers = [layer._asdict() for layer in self.layers]
        return json.dumps({**self._asdict(), "layers": layers}, indent=1, ensure_ascii=False) + "\n"

    def table(self) -> str:
        """Returns lines for people, the layer with the largest error first."""
        width = max([len("layer"), *(len(error.layer) for error in self.layers)])
        lines = [f"{'layer':{width}}  signal/noise"]
        lines += [f"{error.layer:{width}}  {error.sqnr:9.1f} dB" for error in self.layers]
        return "\n".join([*lines, f"float32: {', '.join(self.kept) or 'no layer'}"])


def layer_errors(
    graph: Graph,
    parameters: Dict[str, NDArray],
    kept: Set[str],
    ranges: Mapping[str, Range],
    inputs: Sequence[str],
    example: Example,
) -> List[LayerError]:
    """Returns the errors of the layers of a fused Graph for one image, the largest first.

    kept: the names of layers that stay float32. ranges: {tensor: (smallest, largest)}.
    inputs, example: the names of the graph's inputs and their arrays.

    Every other layer gets a copy that reads the same input and that no layer reads. Only the copies
    are quantised. The error of a layer is therefore its own, and the RoIs stay the same.
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
        LayerError(node.name, layer_of(node)["op"], _decibels(*power.ravel().tolist()))
        for node, power in zip(layers, powers)
    ]
    return sorted(errors, key=lambda error: error.sqnr)


def _with_twins(graph: Graph, layers: Sequence[Node]) -> Graph:
    """Returns a Graph with an output (2,) for each layer: the power of its result and its error."""
    outputs = []
    for node in layers:
        outputs += [Output(node), Output(_twin(node))]
    pairs = graph.symbol(outputs)
    powers = [
        mx.sym.stack(*(mx.sym.sum(mx.sym.square(x)) for x in (exact, rounded - exact)))
        for exact, rounded in zip(pairs[::2], pairs[1::2])
    ]
    return Graph(mx.sym.Group(powers))


def _twin(node: Node) -> Node:
    """Returns a copy of a fused operator under another name.

    The nodes within it get other names too, because MXNet's pass identifies layers by these.
    """
    (subgraph,) = node.subgraphs
    inside = [{**entry, "name": entry["name"] + TWIN} for entry in subgraph["nodes"]]
    copies = [{**subgraph, "nodes": inside}]
    return Node(node.op, node.name + TWIN, node.attributes, node.inputs, copies)


def _decibels(signal: float, noise: float) -> float:
    """Returns 10 log10 of the ratio of two powers; 0 for a layer that returns nothing but zeros."""
    tiny = float(np.finfo("float32").tiny)
    return 10 * float(np.log10(max(float(signal), tiny) / max(float(noise), tiny)))

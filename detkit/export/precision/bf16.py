"""bfloat16: a graph whose layers calculate with 16-bit numbers, on a CPU by oneDNN."""

import mxnet as mx

from detkit.errors import ExportError
from detkit.export.graph.fusion import FUSED, fuse
from detkit.export.graph.graph import Node, Output
from detkit.export.graph.layer_names import select
from detkit.export.manifest import BFLOAT16, FLOAT32
from detkit.processor import describe, has_bfloat16

NUMBER = "12"  # of bfloat16, among MXNet's types


def to_bfloat16(graph, parameters, keep=()):
    """A simplified Graph in bfloat16: a Symbol and its parameters {name: NDArray}.

    graph: its layers have been named by ``name_layers``; it is used up. parameters: its own.
    keep: patterns of the layers that stay float32, as ``select`` says.

    What is no layer stays float32: inputs and outputs, the decoding of boxes, NMS, the operators
    of RoIs. Nothing is calibrated: bfloat16 reaches as far as float32, with 8 bits of precision.

    Raises ExportError for an MXNet without oneDNN, when no layer is left, and on a CPU that has no
    bfloat16.
    """
    if not has_bfloat16():
        raise ExportError(
            f"bfloat16 needs a CPU with avx512_bf16, and this is {describe()}; export as "
            "float32, or with --int8"
        )
    kept = select(graph, keep)
    fused = fuse(graph)
    layers = {node for node in fused.nodes() if node.op in FUSED and node.name not in kept}
    if not layers:
        raise ExportError(f"no layer is left for bfloat16: {', '.join(keep)} keep all; keep fewer")
    _cast_between(fused, layers | _exact_after(fused, layers), parameters)
    symbol = fused.symbol()
    arrays = {**parameters, **_halved(fused, parameters)}
    used = set(symbol.list_inputs())
    return symbol, {name: array for name, array in arrays.items() if name in used}


def _exact_after(graph, layers):
    """The nodes that choose among what ``layers`` give, or move it: the same in any precision."""
    return {
        node
        for node in graph.nodes()
        if (node.op == "Reshape" or node.op == "Pooling" and _takes_maxima(node))
        and node.inputs[0].node in layers
    }


def _takes_maxima(node):
    return node.attribute("pool_type", "max") == "max"


def _cast_between(graph, layers, parameters):
    """Let ``layers`` read bfloat16 and all others float32."""
    casts = {}

    def cast(output, dtype):
        key = (*output[:2], dtype)
        if key not in casts:
            name = f"{output.node.name}_{dtype}"
            if output.node.name in parameters:
                shape = str(parameters[output.node.name].shape)
                node = Node(None, name, {"__shape__": shape, "__dtype__": NUMBER})
            else:
                node = Node("amp_cast", f"{name}_{output.index}", {"dtype": dtype}, [output])
            casts[key] = Output(node)
        return casts[key]

    def read(output, reader):
        if reader in layers:
            return output if output.node in layers else cast(output, BFLOAT16)
        return cast(output, FLOAT32) if output.node in layers else output

    for node in graph.nodes():
        node.inputs = [read(output, node) for output in node.inputs]
        if node.op in FUSED and node in layers:
            _forget_types(node)
    graph.outputs = [read(output, None) for output in graph.outputs]


def _forget_types(node):
    """Leave the types of the variables within a fused operator to what it is given."""
    (subgraph,) = node.subgraphs
    for entry in subgraph["nodes"]:
        if entry["op"] == "null":
            entry.pop("attrs", None)


def _halved(graph, parameters):
    """{name: NDArray} of the parameters that are bfloat16 in a Graph."""
    source = Node(None, "parameter")
    halve = mx.nd.CachedOp(
        graph.symbol([Output(Node("amp_cast", "cast", {"dtype": BFLOAT16}, [Output(source)]))])
    )
    ending = f"_{BFLOAT16}"
    names = [node.name[: -len(ending)] for node in graph.variables() if node.name.endswith(ending)]
    return {f"{name}{ending}": halve(parameters[name]) for name in names}

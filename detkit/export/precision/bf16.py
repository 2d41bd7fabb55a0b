"""bfloat16: a graph whose layers calculate with 16-bit numbers, on a CPU by oneDNN."""

from typing import Dict, Mapping, Optional, Sequence, Set, Tuple

import mxnet as mx

from detkit.errors import ExportError
from detkit.export.graph.fusion import FUSED, fuse
from detkit.export.graph.graph import Graph, Node, Output
from detkit.export.graph.layer_names import no_layer_left, select
from detkit.export.manifest import BFLOAT16, FLOAT32
from detkit.processor import describe, has_bfloat16
from detkit.typing import NDArray, Symbol

TYPE_NUMBER = "12"  # MXNet's number of the type bfloat16


def require_bfloat16() -> None:
    """Raises ExportError on a CPU without bfloat16."""
    if not has_bfloat16():
        raise ExportError(
            f"bfloat16: expected a CPU with avx512_bf16, found {describe()}; export as float32, or "
            "with --int8"
        )


def to_bfloat16(
    graph: Graph, parameters: Dict[str, NDArray], keep: Sequence[str] = ()
) -> Tuple[Symbol, Dict[str, NDArray]]:
    """Returns the Symbol of a simplified Graph in bfloat16 and its parameters {name: NDArray}.

    graph: with layers named by ``name_layers``; it is changed. parameters: {name: NDArray}.
    keep: patterns of the layers that stay float32, see ``select``.

    The operators that are no layers stay float32, and so do inputs and outputs: the decoding of
    boxes, NMS, RoI operators. No calibration is needed, because bfloat16 has the range of float32,
    with 8 bits of precision.

    Raises ExportError if MXNet is built without oneDNN, and if no layer is left.
    """
    kept = select(graph, keep)
    fused = fuse(graph)
    layers = {node for node in fused.nodes() if node.op in FUSED and node.name not in kept}
    if not layers:
        raise no_layer_left("bfloat16", keep)
    _cast_between(fused, layers | _exact_after(fused, layers), parameters)
    symbol = fused.symbol()
    arrays = {**parameters, **_rounded(fused, parameters)}
    used = set(symbol.list_inputs())
    return symbol, {name: array for name, array in arrays.items() if name in used}


def _exact_after(graph: Graph, layers: Set[Node]) -> Set[Node]:
    """Returns the nodes that only select or move results of ``layers``, which is always exact."""
    return {
        node
        for node in graph.nodes()
        if (node.op == "Reshape" or node.op == "Pooling" and _takes_maxima(node))
        and node.inputs[0].node in layers
    }


def _takes_maxima(node: Node) -> bool:
    return node.attribute("pool_type", "max") == "max"


def _cast_between(graph: Graph, layers: Set[Node], parameters: Mapping[str, NDArray]) -> None:
    """Inserts casts so that ``layers`` read bfloat16 and all other nodes float32."""
    casts: Dict[Tuple[Node, int, str], Output] = {}

    def cast(output: Output, dtype: str) -> Output:
        """Returns an output as ``dtype``, by one node for all that read it so."""
        key = (*output.place, dtype)
        if key not in casts:
            name = f"{output.node.name}_{dtype}"
            if output.node.name in parameters:
                shape = str(parameters[output.node.name].shape)
                node = Node(None, name, {"__shape__": shape, "__dtype__": TYPE_NUMBER})
            else:
                node = Node("amp_cast", f"{name}_{output.number}", {"dtype": dtype}, [output])
            casts[key] = Output(node)
        return casts[key]

    def read(output: Output, reader: Optional[Node]) -> Output:
        if reader in layers:
            return output if output.node in layers else cast(output, BFLOAT16)
        return cast(output, FLOAT32) if output.node in layers else output

    for node in graph.nodes():
        node.inputs = [read(output, node) for output in node.inputs]
        if node.op in FUSED and node in layers:
            _forget_types(node)
    graph.outputs = [read(output, None) for output in graph.outputs]


def _forget_types(node: Node) -> None:
    """Removes the types of the variables within a fused operator, which its inputs decide then."""
    (subgraph,) = node.subgraphs
    for entry in subgraph["nodes"]:
        if entry["op"] == "null":
            entry.pop("attrs", None)


def _rounded(graph: Graph, parameters: Mapping[str, NDArray]) -> Dict[str, NDArray]:
    """Returns {name: NDArray} of the parameters that are bfloat16 in a Graph."""
    source = Node(None, "parameter")
    rounded = mx.nd.CachedOp(
        graph.symbol([Output(Node("amp_cast", "cast", {"dtype": BFLOAT16}, [Output(source)]))])
    )
    ending = f"_{BFLOAT16}"
    names = [node.name[: -len(ending)] for node in graph.variables() if node.name.endswith(ending)]
    return {f"{name}{ending}": rounded(parameters[name]) for name in names}

"""The shapes of all arrays of an exported network, checked before MXNet runs it.

MXNet itself infers the shapes, of one node after the other: rules of detkit's own would repeat two
hundred operators, and refuse a good network if they differed. The inference allocates no arrays. It
takes a hundredth of the time of a detection, once for each shape of the inputs. MXNet never infers
the whole graph of a hostile file, because products of its sides may overflow unseen, and a division
by such a product ends the process. For each node:

- The attributes and the inputs fit what the inference trusts and what the kernel trusts, which
  MXNet does not compare: ``kernels``.
- MXNet infers a shape for each output, without a side of 0, and for each input the shape that it
  has. Some layers replace the shape of an input that does not fit, and their kernels read as if it
  had the other one.
- An array has at most 2^31 - 1 values. The values that have to be there at once, and the work of
  the network, are bounded as well: ``costs``.

tools/deploy/shapes.cpp checks the same.
"""

import json
from typing import Any, Dict, List, Sequence, Set, Tuple

import mxnet as mx
import numpy as np

from detkit.errors import ExportError
from detkit.export.graph.costs import check_costs
from detkit.export.graph.kernels import check_inference, check_kernel
from detkit.export.graph.nodes import Node, Shape, count, shapes_read
from detkit.export.graph.operators import LARGEST, read_table
from detkit.export.graph.variables import refuse
from detkit.typing import Symbol

LOAD_SIDE = 256  # pixels of the image for which a network is checked when it is loaded
LOAD_PROPOSALS = 16
VERSION = ["int", 10901]  # of MXNet, in the graph of a single node


def first_shapes(inputs: Sequence[str], pad_multiple: int) -> Dict[str, Shape]:
    """Returns shapes of the inputs by name, for the check of a network before there is an image."""
    side = -(-LOAD_SIDE // pad_multiple) * pad_multiple
    shapes: Dict[str, Shape] = {
        "images": (1, 3, side, side),
        "sizes": (1, 2),
        "scales": (1, 2),
        "proposals": (1, LOAD_PROPOSALS, 4),
        "proposal_scores": (1, LOAD_PROPOSALS),
    }
    return {name: shapes[name] for name in inputs}


class NetworkShapes:
    """The shapes of a network, for any shapes of its inputs.

    place, text: the path and the content of the symbol file, which ``check_graph`` accepted.
    arrays: the parameters, which ``check_variables`` accepted.
    """

    def __init__(self, place: str, text: str, arrays: Dict[str, np.ndarray]) -> None:
        self._place, self._table = place, read_table()
        self._parameters = {name.split(":", 1)[1]: each.shape for name, each in arrays.items()}
        graph = json.loads(text)
        self._nodes: List[Dict[str, Any]] = graph["nodes"]
        self._outputs = [(number, output) for number, output, _ in graph["heads"]]
        self._symbols: Dict[str, Symbol] = {}
        self._accepted: Set[Tuple[Shape, ...]] = set()

    def check(self, inputs: Dict[str, Shape]) -> None:
        """Raises ExportError unless MXNet can run the network with inputs of these shapes."""
        key = tuple(inputs[name] for name in sorted(inputs))
        if key in self._accepted:
            return
        known = {**self._parameters, **inputs}
        nodes: List[Node] = []
        for content in self._nodes:
            node = Node(
                content["op"],
                content["name"],
                content.get("attrs", {}),
                [(number, output) for number, output, _ in content["inputs"]],
                [],
            )
            nodes.append(node)
            if node.op == "null":
                node.shapes.append(known[node.name])
            else:
                self._infer(nodes, node, content)
        wrong = check_costs(nodes, self._outputs, inputs)
        if wrong is not None:
            refuse(self._place, f"nodes, with inputs of {inputs}", *wrong)
        self._accepted.add(key)

    def _infer(self, nodes: List[Node], node: Node, content: Dict[str, Any]) -> None:
        """Appends the shapes of a node's outputs, and checks them."""
        where = f"nodes, {node.op} {node.name!r}"
        wrong = check_inference(nodes, node)
        if wrong is None:
            read = shapes_read(nodes, node)
            try:
                named = {f"x{number}": shape for number, shape in enumerate(read)}
                symbol = self._symbol(node, content)
                arguments, shapes, auxiliary = symbol.infer_shape_partial(**named)
            except mx.MXNetError as error:
                reason = str(error).strip().splitlines()[-1]
                raise ExportError(
                    f"{self._place}: MXNet {mx.__version__} cannot run it: {where} with inputs of "
                    f"{read}: {reason}; export it again (detkit export)"
                ) from error
            fitting = [tuple(shape) for shape in (*arguments, *auxiliary)]
            if fitting != read:
                refuse(self._place, where, f"inputs of the shapes {fitting}", read)
            node.shapes.extend(map(tuple, shapes))
            if not all(shape and all(shape) for shape in node.shapes):
                refuse(self._place, where, "shapes that follow from those of its inputs", read)
            largest = max(map(count, node.shapes))
            if largest > LARGEST:
                refuse(self._place, where, f"at most {LARGEST} values", largest)
            wrong = check_kernel(nodes, node)
        if wrong is not None:
            refuse(self._place, where, *wrong)

    def _symbol(self, node: Node, content: Dict[str, Any]) -> Symbol:
        """Returns a graph of a node alone, whose inputs are variables x0, x1 and so on."""
        inputs = len(node.inputs)
        given: Dict[str, Any] = {
            key: content[key] for key in ("attrs", "subgraphs") if key in content
        }
        single = {"op": node.op, "name": "node", **given}
        key = json.dumps([single, inputs], sort_keys=True)
        if key not in self._symbols:
            outputs = self._table.operators[node.op].output_count(node.attributes)
            variables = [
                {"op": "null", "name": f"x{number}", "inputs": []} for number in range(inputs)
            ]
            single["inputs"] = [[number, 0, 0] for number in range(inputs)]
            graph = {
                "nodes": [*variables, single],
                "arg_nodes": list(range(inputs)),
                "node_row_ptr": list(range(inputs + 2)),
                "heads": [[inputs, output, 0] for output in range(outputs)],
                "attrs": {"mxnet_version": VERSION},
            }
            self._symbols[key] = mx.sym.load_json(json.dumps(graph))
        return self._symbols[key]

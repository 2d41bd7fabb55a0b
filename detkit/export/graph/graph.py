"""A symbol as Python objects that can be rewired.

MXNet's Symbol cannot be changed once it is made. Its JSON file is a list of nodes, which become the
objects of this module and back.
"""

import json
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

import mxnet as mx

from detkit.typing import Symbol

Value = TypeVar("Value", bool, int, float, str)
Place = Tuple["Node", int]  # a node and the number of one of its outputs


class Node:
    """An operator, or a variable (``op`` None), which is an input or a parameter.

    inputs: the Outputs that it reads. attributes: strings by name. subgraphs: the graphs within a
        fused operator or a loop, as in the file.
    """

    def __init__(
        self,
        op: Optional[str],
        name: str,
        attributes: Optional[Mapping[str, str]] = None,
        inputs: Iterable["Output"] = (),
        subgraphs: Iterable[Dict[str, Any]] = (),
    ) -> None:
        self.op, self.name = op, name
        self.attributes = dict(attributes or {})
        self.inputs = list(inputs)
        self.subgraphs = list(subgraphs)

    def attribute(self, name: str, default: Value) -> Value:
        """Returns an attribute as a value of the type of ``default``, or ``default`` if absent."""
        text = self.attributes.get(name)
        if text is None:
            return default
        return text in ("True", "1") if isinstance(default, bool) else type(default)(text)


class Output(NamedTuple):
    """One of the outputs of a node.

    number: its position among the outputs.
    version: how often the node, a variable, was changed in place before this output is read.
    """

    node: Node
    number: int = 0
    version: int = 0

    @property
    def place(self) -> Place:
        """The node and the number, without the version."""
        return self.node, self.number


class Graph:
    """The nodes that ``outputs`` need. A node that no output needs any more is no part of it."""

    def __init__(self, symbol: Symbol) -> None:
        content = json.loads(symbol.tojson())
        nodes: List[Node] = []
        for entry in content["nodes"]:
            inputs = [Output(nodes[source], *rest) for source, *rest in entry["inputs"]]
            op = None if entry["op"] == "null" else entry["op"]
            subgraphs = entry.get("subgraphs", ())
            nodes.append(Node(op, entry["name"], entry.get("attrs"), inputs, subgraphs))
        self.outputs = [Output(nodes[source], *rest) for source, *rest in content["heads"]]
        self._about = content["attrs"]

    def nodes(self) -> List[Node]:
        """Returns every node, each after the nodes that it reads."""
        return _ordered(self.outputs)

    def variables(self) -> List[Node]:
        """Returns the nodes that are inputs or parameters."""
        return [node for node in self.nodes() if node.op is None]

    def readers(self) -> Dict[Place, int]:
        """Returns {place: how many nodes and outputs of the graph read that output}."""
        counts: Dict[Place, int] = {}
        for output in self.outputs + [source for node in self.nodes() for source in node.inputs]:
            counts[output.place] = counts.get(output.place, 0) + 1
        return counts

    def only_readers(self) -> Dict[Node, Node]:
        """Returns {node: the node that reads its first output}, if that has one reader."""
        readers = self.readers()
        return {
            source.node: node
            for node in self.nodes()
            for source in node.inputs
            if source.number == 0 and readers[source.place] == 1
        }

    def replace(self, replacements: Mapping[Place, Output]) -> None:
        """Lets every reader of an output {place: Output} read its replacement.

        A replacement may itself be replaced.
        """

        def final(output: Output) -> Output:
            while output.place in replacements:
                output = replacements[output.place]
            return output

        for node in self.nodes():
            node.inputs = [final(output) for output in node.inputs]
        self.outputs = [final(output) for output in self.outputs]

    def symbol(self, outputs: Optional[Sequence[Output]] = None) -> Symbol:
        """Returns the Symbol of the graph's outputs, or of other ``outputs`` within it."""
        outputs = self.outputs if outputs is None else outputs
        nodes = _ordered(outputs)
        positions = {node: position for position, node in enumerate(nodes)}

        def written(references: Iterable[Output]) -> List[List[int]]:
            return [[positions[node], number, version] for node, number, version in references]

        entries = []
        for node in nodes:
            entry: Dict[str, Any] = {
                "op": node.op or "null",
                "name": node.name,
                "inputs": written(node.inputs),
            }
            if node.attributes:
                entry["attrs"] = node.attributes
            if node.subgraphs:
                entry["subgraphs"] = node.subgraphs
            entries.append(entry)
        variables = [positions[node] for node in nodes if node.op is None]
        content = {"nodes": entries, "arg_nodes": variables, "heads": written(outputs)}
        return mx.sym.load_json(json.dumps({**content, "attrs": self._about}))


def _ordered(outputs: Sequence[Output]) -> List[Node]:
    """Returns the nodes that ``outputs`` need, each after the nodes that it reads."""
    done: Set[Node] = set()
    order: List[Node] = []
    pending = [(output.node, False) for output in reversed(outputs)]
    while pending:  # not by recursion, because a network is deeper than Python's stack
        node, read = pending.pop()
        if node in done:
            continue
        if read:
            done.add(node)
            order.append(node)
        else:
            pending.append((node, True))
            pending += [(source.node, False) for source in reversed(node.inputs)]
    return order

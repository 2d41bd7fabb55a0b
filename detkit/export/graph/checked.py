"""The graph of an exported network, checked before MXNet reads it.

MXNet takes the indices of ``model-symbol.json`` on trust, and a wrong one ends the process. A graph
that passes is one that ``detkit.export`` could have written:

- It is strict JSON of at most 8 MiB, with the keys nodes, arg_nodes, node_row_ptr, heads and, for
  the whole graph, attrs with MXNet's version. It has 1 to 20,000 nodes.
- A node has the keys op, name, inputs, perhaps attrs and, if it is a fused layer, one subgraph
  without subgraphs of its own. Its name has 1 to 1,024 bytes, none of them a control character.
- An input or a head is [node, output, version]. The node of an input comes before its reader, so
  that the graph has no circle. The node has that output. The version is 0 to 65,535.
- Every node is read by another one or is a head. There are as many heads as the model has outputs.
- The operator is in operators.inc, and so are the number of its inputs and the limits of its
  attributes. An operator ``detkit_*`` needs the folder's library.
- arg_nodes lists the variables, each of which has a name of its own. ``variables`` compares them
  with the parameter file.

tools/deploy/graph.cpp checks the same.
"""

from typing import Any, Dict, List, NoReturn, Sequence, Set

from detkit.export.graph.operators import TRUE, Operator, Table, read_table
from detkit.export.graph.variables import Variable, refuse
from detkit.export.strict_json import parse_json

MOST_BYTES = 8 << 20
MOST_NODES = 20_000
MOST_VERSIONS = 1 << 16
MOST_ATTRIBUTES = 64
LONGEST_NAME, LONGEST_VALUE = 1024, 4096  # bytes
VARIABLE = "null"  # the operator of one, in the file
KEPT = ("__shape__", "__dtype__")  # attributes of a variable
FUSED = ("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected")
WITHIN_FUSED = ("Convolution", "FullyConnected")  # one of them is a fused layer's own
AROUND_FUSED = ("Activation", "LeakyReLU", "clip", "elemwise_add", "relu", "sigmoid", "tanh")
MOVING = ("BatchNorm", (3, 4))  # the operator and its inputs that are auxiliary
GRAPH_KEYS = ("nodes", "arg_nodes", "node_row_ptr", "heads")


def check_graph(place: str, data: bytes, outputs: int, native: bool) -> Dict[str, Variable]:
    """Returns the variables of a graph by name.

    place, data: the path and the content of the symbol file. outputs: the number of the model's
    outputs. native: whether the folder has a library of operators.

    Raises ExportError, with the place in the file, if the graph does not obey the rules above.
    """
    graph = parse_json(data, place, MOST_BYTES)
    return _Check(place, read_table(), native).graph(graph, outputs)


class _Check:
    """The rules of one graph, and where it is."""

    def __init__(self, place: str, table: Table, native: bool) -> None:
        self._place, self._table, self._native = place, table, native

    def fail(self, where: str, expected: str, found: Any) -> NoReturn:
        refuse(self._place, where, expected, found)

    def graph(self, graph: Any, outputs: int) -> Dict[str, Variable]:
        """Checks the whole graph. Returns its variables by name."""
        self._keys("the graph", graph, (*GRAPH_KEYS, "attrs"))
        about = graph["attrs"]
        version = about.get("mxnet_version") if isinstance(about, dict) else None
        if not (
            isinstance(version, list)
            and len(version) == 2
            and version[0] == "int"
            and _is_whole(version[1], 10000, 29999)
        ):
            self.fail("attrs.mxnet_version", "['int', 10901] or another version", version)
        nodes = self._nodes("", graph, fused=False)
        if len(graph["heads"]) != outputs:
            heads = len(graph["heads"])
            self.fail("heads", f"{outputs}, one for each output of model.json", heads)
        return self._variables(nodes)

    def _keys(
        self, where: str, value: Any, needed: Sequence[str], allowed: Sequence[str] = ()
    ) -> None:
        if not isinstance(value, dict):
            self.fail(where, "a mapping", value)
        for key in needed:
            if key not in value:
                self.fail(where, f"the key {key!r}", sorted(value)[:10])
        for key in value:
            if key not in needed and key not in allowed:
                self.fail(where, f"only the keys {', '.join((*needed, *allowed))}", key)

    def _list(self, where: str, value: Any, least: int, most: int) -> List[Any]:
        if not isinstance(value, list):
            self.fail(where, "a list", value)
        if not least <= len(value) <= most:
            self.fail(where, f"{least} to {most} items", len(value))
        return value

    def _nodes(self, within: str, graph: Any, fused: bool) -> List[Dict[str, Any]]:
        """Checks the nodes of a graph and what refers to them."""
        nodes = self._list(f"{within}nodes", graph["nodes"], 1, MOST_NODES)
        counts: List[int] = []  # the outputs of each node
        read: Set[int] = set()
        for index, node in enumerate(nodes):
            where = f"{within}nodes[{index}]"
            self._node(where, node, fused)
            for number, entry in enumerate(self._list(f"{where}.inputs", node["inputs"], 0, 4096)):
                read.add(self._entry(f"{where}.inputs[{number}]", entry, counts))
            counts.append(self._operator(where, node, fused))
        heads = self._list(f"{within}heads", graph["heads"], 1, 64)
        for number, entry in enumerate(heads):
            read.add(self._entry(f"{within}heads[{number}]", entry, counts))
        for index in range(len(nodes)):
            if index not in read:
                self.fail(f"{within}nodes[{index}]", "a node that is read", nodes[index]["name"])
        variables = [index for index, node in enumerate(nodes) if node["op"] == VARIABLE]
        if not _same_wholes(graph["arg_nodes"], variables):
            self.fail(f"{within}arg_nodes", f"{variables[:5]}..., the variables", "another list")
        self._rows(f"{within}node_row_ptr", graph["node_row_ptr"], len(nodes))
        return nodes

    def _rows(self, where: str, rows: Any, count: int) -> None:
        """Checks the number of the first output of each node, which MXNet counts up."""
        self._list(where, rows, count + 1, count + 1)
        before = -1
        for number, row in enumerate(rows):
            if not _is_whole(row, before + 1, before + 4096 if number else 0):
                self.fail(f"{where}[{number}]", f"a number above {before}", row)
            before = row

    def _node(self, where: str, node: Any, fused: bool) -> None:
        """Checks the keys, the name and the attributes of a node."""
        self._keys(where, node, ("op", "name", "inputs"), ("attrs", "subgraphs"))
        for key in ("op", "name"):
            text = node[key]
            if not _is_name(text):
                self.fail(f"{where}.{key}", f"a name of 1 to {LONGEST_NAME} bytes", text)
        attributes = node.get("attrs", {})
        if not isinstance(attributes, dict) or len(attributes) > MOST_ATTRIBUTES:
            self.fail(f"{where}.attrs", f"a mapping of up to {MOST_ATTRIBUTES}", attributes)
        for key, value in attributes.items():
            short = isinstance(value, str) and len(value.encode("utf-8")) <= LONGEST_VALUE
            if not short or not _is_name(key):
                self.fail(f"{where}.attrs", f"texts of up to {LONGEST_VALUE} bytes", {key: value})
        subgraphs = node.get("subgraphs", [])
        if node["op"] in FUSED and not fused:
            self._list(f"{where}.subgraphs", subgraphs, 1, 1)
            self._subgraph(f"{where}.subgraphs[0]", subgraphs[0])
            within = len(subgraphs[0]["arg_nodes"])
            ranges = (2, 4) if attributes.get("quantized") in TRUE else (0,)
            count = len(self._list(f"{where}.inputs", node["inputs"], 0, 4096))
            if count - within not in ranges:
                expected = f"the {within} variables of its subgraph, and {ranges} ranges"
                self.fail(f"{where}.inputs", expected, count)
        elif "subgraphs" in node:
            self.fail(f"{where}.subgraphs", "none", subgraphs)

    def _subgraph(self, where: str, graph: Any) -> None:
        self._keys(where, graph, GRAPH_KEYS)
        nodes = self._nodes(f"{where}.", graph, fused=True)
        layers = [node["op"] for node in nodes if node["op"] in WITHIN_FUSED]
        if len(layers) != 1:
            self.fail(f"{where}.nodes", "one Convolution or FullyConnected", layers)
        if len(graph["heads"]) != 1:
            self.fail(f"{where}.heads", "one", len(graph["heads"]))

    def _entry(self, where: str, entry: Any, counts: List[int]) -> int:
        """Checks what an input or a head refers to. Returns its node."""
        if not (isinstance(entry, list) and len(entry) == 3 and _is_whole(entry[2], 0, 65535)):
            self.fail(where, "[node, output, version]", entry)
        node, output, _ = entry
        if not _is_whole(node, 0, len(counts) - 1):
            self.fail(where, f"a node from 0 to {len(counts) - 1}", node)
        if not _is_whole(output, 0, counts[node] - 1):
            self.fail(where, f"an output from 0 to {counts[node] - 1} of nodes[{node}]", output)
        return node

    def _operator(self, where: str, node: Dict[str, Any], fused: bool) -> int:
        """Checks an operator, its attributes and the number of its inputs. Returns its outputs."""
        name, attributes, inputs = node["op"], node.get("attrs", {}), node["inputs"]
        if name == VARIABLE:
            if inputs:
                self.fail(f"{where}.inputs", "none, because it is a variable", inputs)
            if set(attributes) - set(KEPT):
                self.fail(f"{where}.attrs", f"{KEPT} of a variable", sorted(attributes))
            return 1
        operator = self._table.operators.get(name)
        if operator is None or (fused and name not in (*WITHIN_FUSED, *AROUND_FUSED)):
            self.fail(f"{where}.op", "one of operators.inc's operators", name)
        if name.startswith("detkit_") and not self._native:
            self.fail(
                f"{where}.op", "an operator of MXNet, because model.json has no library", name
            )
        return self._numbers(where, operator, attributes, len(inputs))

    def _numbers(
        self, where: str, operator: Operator, attributes: Dict[str, str], count: int
    ) -> int:
        for key, value in attributes.items():
            expected = self._table.check_attribute(key, value)
            if key.startswith("__"):
                expected = "no such key at an operator"
            if expected is not None:
                self.fail(f"{where}.attrs.{key}", expected, value)
        wrong = operator.check_inputs(count, attributes)
        if wrong is not None:
            self.fail(f"{where}.inputs", f"{wrong} of them", count)
        return operator.output_count(attributes)

    def _variables(self, nodes: List[Dict[str, Any]]) -> Dict[str, Variable]:
        moving: Set[int] = set()
        others: Set[int] = set()
        for node in nodes:
            for position, (source, *_) in enumerate(node["inputs"]):
                is_moving = node["op"] == MOVING[0] and position in MOVING[1]
                (moving if is_moving else others).add(source)
        variables: Dict[str, Variable] = {}
        for index, node in enumerate(nodes):
            if node["op"] != VARIABLE:
                continue
            where, name = f"nodes[{index}]", node["name"]
            if name in variables:
                self.fail(f"{where}.name", "each variable once", name)
            if index in moving and index in others:
                self.fail(where, "a moving mean or variance that BatchNorm alone reads", name)
            variables[name] = Variable(node.get("attrs", {}), index in moving)
        return variables


def _is_name(text: Any) -> bool:
    return (
        isinstance(text, str)
        and 1 <= len(text.encode("utf-8")) <= LONGEST_NAME
        and not any(character < " " or character == "\x7f" for character in text)
    )


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _same_wholes(found: Any, expected: List[int]) -> bool:
    return (
        isinstance(found, list) and found == expected and all(type(each) is int for each in found)
    )

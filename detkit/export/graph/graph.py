"""A symbol as Python objects that can be rewired: what its JSON file says.

MXNet's Symbol cannot be changed once it is made; its file is a list of nodes.
"""

import json
from typing import NamedTuple

import mxnet as mx


class Node:
    """One operator, or with ``op`` None a variable: an input or a parameter.

    inputs: the Outputs it reads. attributes: strings by name. subgraphs: bodies of control flow, as
        in the file.
    """

    def __init__(self, op, name, attributes=None, inputs=(), subgraphs=()):
        self.op, self.name = op, name
        self.attributes = dict(attributes or {})
        self.inputs = list(inputs)
        self.subgraphs = list(subgraphs)

    def attribute(self, name, default):
        """One of the ``attributes``, and of the type of ``default``, which stands in for it."""
        text = self.attributes.get(name)
        if text is None:
            return default
        return text in ("True", "1") if isinstance(default, bool) else type(default)(text)


class Output(NamedTuple):
    """Output number ``index`` of a node; ``version`` counts changes of a variable in place."""

    node: Node
    index: int = 0
    version: int = 0


class Graph:
    """What ``outputs`` are computed from. Whatever no output needs is no longer part of it."""

    def __init__(self, symbol):
        content = json.loads(symbol.tojson())
        nodes = []
        for entry in content["nodes"]:
            inputs = [Output(nodes[source], *rest) for source, *rest in entry["inputs"]]
            op = None if entry["op"] == "null" else entry["op"]
            subgraphs = entry.get("subgraphs", ())
            nodes.append(Node(op, entry["name"], entry.get("attrs"), inputs, subgraphs))
        self.outputs = [Output(nodes[source], *rest) for source, *rest in content["heads"]]
        self._about = content["attrs"]

    def nodes(self):
        """Every node, each after those it reads from."""
        return _ordered(self.outputs)

    def variables(self):
        """The nodes that are inputs or parameters."""
        return [node for node in self.nodes() if node.op is None]

    def readers(self):
        """{(node, index): how many nodes read that output, or give it to the outside}."""
        counts = {}
        for output in self.outputs + [source for node in self.nodes() for source in node.inputs]:
            counts[output[:2]] = counts.get(output[:2], 0) + 1
        return counts

    def replace(self, replacements):
        """Read other outputs: {(node, index): Output}; a replacement may itself be replaced."""

        def final(output):
            while output[:2] in replacements:
                output = replacements[output[:2]]
            return output

        for node in self.nodes():
            node.inputs = [final(output) for output in node.inputs]
        self.outputs = [final(output) for output in self.outputs]

    def symbol(self, outputs=None):
        """The Symbol of the graph's outputs, or of some others within it."""
        outputs = self.outputs if outputs is None else outputs
        nodes = _ordered(outputs)
        number = {node: position for position, node in enumerate(nodes)}

        def written(references):
            return [[number[node], index, version] for node, index, version in references]

        entries = []
        for node in nodes:
            entry = {"op": node.op or "null", "name": node.name, "inputs": written(node.inputs)}
            if node.attributes:
                entry["attrs"] = node.attributes
            if node.subgraphs:
                entry["subgraphs"] = node.subgraphs
            entries.append(entry)
        variables = [number[node] for node in nodes if node.op is None]
        content = {"nodes": entries, "arg_nodes": variables, "heads": written(outputs)}
        return mx.sym.load_json(json.dumps({**content, "attrs": self._about}))


def _ordered(outputs):
    """The nodes that ``outputs`` need, each after those it reads from."""
    done, order = set(), []
    pending = [(output.node, False) for output in reversed(outputs)]
    while pending:  # no recursion: a network is deeper than Python's stack
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

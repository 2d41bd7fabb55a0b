"""A node of a graph with the shapes of its arrays, as the checks of an exported graph read it."""

import math
from typing import Dict, List, NamedTuple, Sequence, Tuple

Shape = Tuple[int, ...]
Entry = Tuple[int, int]  # a node, and the number of its output


class Node(NamedTuple):
    """A node of a graph, in the order in which MXNet runs it.

    attributes: the texts of the file. inputs: the arrays that it reads. shapes: those of its
    outputs that others may read.
    """

    op: str
    name: str
    attributes: Dict[str, str]
    inputs: List[Entry]
    shapes: List[Shape]

    def whole(self, key: str, default: int) -> int:
        """Returns an attribute that is a whole number, or ``default`` for None or any other."""
        try:
            return int(self.attributes.get(key, ""))
        except ValueError:
            return default

    def real(self, key: str, default: float) -> float:
        """Returns an attribute that is a number, or ``default`` if it is none."""
        try:
            return float(self.attributes.get(key, ""))
        except ValueError:
            return default


def shape_of(nodes: Sequence[Node], entry: Entry) -> Shape:
    """Returns the shape of an array."""
    return nodes[entry[0]].shapes[entry[1]]


def shapes_read(nodes: Sequence[Node], node: Node) -> List[Shape]:
    """Returns the shapes of the arrays that a node reads."""
    return [shape_of(nodes, entry) for entry in node.inputs]


def count(shape: Shape) -> int:
    """Returns the number of values of an array."""
    return math.prod(shape)

"""Mutations of an exported graph that keep its form, so that most reach the check of its shapes."""

import json
import random
import re
from typing import Any, Callable, Dict, List, Tuple

from detkit.export.graph.operators import read_table

NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 16, 17, 64, 100, 1000, 4096, 65536, 2**20, 2**31 - 1)
NUMBERS_BELOW = (-1, -2, -3, -4, -100)
TABLE = read_table()


def of_graph(data: bytes, draw: random.Random) -> bytes:
    """Returns the symbol file of a graph with one to four changes of its nodes."""
    graph = json.loads(data)
    nodes = [node for node in graph["nodes"] if node["op"] != "null"]
    for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
        draw.choice(CHANGES)(nodes, graph["nodes"], draw)
    return json.dumps(graph).encode()


def _swap_inputs(nodes: List[Dict[str, Any]], every: List[Any], draw: random.Random) -> None:
    """Swaps what two nodes read, so that every node still has a reader."""
    for _ in range(20):
        places: List[Tuple[Dict[str, Any], int]] = []
        for node in (draw.choice(nodes), draw.choice(nodes)):
            places.append((node, draw.randrange(len(node["inputs"]))))
        (one, first), (other, second) = places
        read, other_read = one["inputs"][first], other["inputs"][second]
        if other_read[0] < every.index(one) and read[0] < every.index(other):
            one["inputs"][first], other["inputs"][second] = other_read, read
            return


def _change_number(nodes: List[Dict[str, Any]], every: List[Any], draw: random.Random) -> None:
    """Replaces a number in an attribute."""
    node = draw.choice([node for node in nodes if node.get("attrs")])
    key = draw.choice(sorted(node["attrs"]))
    numbers = list(re.finditer(r"-?\d+", node["attrs"][key]))
    if numbers:
        start, end = draw.choice(numbers).span()
        text, number = node["attrs"][key], draw.choice(NUMBERS + NUMBERS_BELOW)
        node["attrs"][key] = f"{text[:start]}{number}{text[end:]}"


def _change_operator(nodes: List[Dict[str, Any]], every: List[Any], draw: random.Random) -> None:
    """Turns a node into another one of as many inputs."""
    node = draw.choice(nodes)
    others = [
        name
        for name, operator in TABLE.operators.items()
        if operator.check_inputs(len(node["inputs"]), node.get("attrs", {})) is None
    ]
    node["op"] = draw.choice(others)
    if draw.random() < 0.7:
        node.pop("attrs", None)


def _drop_attribute(nodes: List[Dict[str, Any]], every: List[Any], draw: random.Random) -> None:
    """Removes an attribute."""
    node = draw.choice([node for node in nodes if node.get("attrs")])
    del node["attrs"][draw.choice(sorted(node["attrs"]))]


CHANGES: Tuple[Callable[[List[Dict[str, Any]], List[Any], random.Random], None], ...] = (
    *(_swap_inputs, _swap_inputs, _change_number, _change_number, _change_number),
    *(_change_operator, _change_operator, _drop_attribute),
)

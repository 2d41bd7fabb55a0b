"""Mappings and lists of a config, whose values know the key path and the place of their writing."""

import copy
import os
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple, Union


class Node(Dict[str, Any]):
    """A mapping of the config: a dict whose entries know where they were written.

    path: the dotted key path ('' at the root).
    replaces: whether the mapping held ``_delete_: true``.
    inherited: the keys that were set before ``type`` was set again; they may belong to another
        part.
    """

    def __init__(self, path: str = "", origin: str = "", replaces: bool = False) -> None:
        super().__init__()
        self.path = path
        self.origin = origin
        self.origins: Dict[str, str] = {}
        self.replaces = replaces
        self.inherited: FrozenSet[str] = frozenset()

    def where(self, key: Optional[str] = None) -> str:
        """Returns the place of ``key``, or of the mapping itself if it has no such key.

        For example 'configs/a.yaml:12' or '--set a.b=c'.
        """
        return self.origin if key is None else self.origins.get(key, self.origin)

    def put(self, key: str, value: Any, origin: str) -> None:
        """Sets ``key`` together with the place where it was written."""
        self[key] = value
        self.origins[key] = origin


class NodeList(List[Any]):
    """A list of the config: a list whose elements know where they were written."""

    def __init__(self, path: str = "", origin: str = "") -> None:
        super().__init__()
        self.path = path
        self.origin = origin
        self.origins: List[str] = []

    def where(self, index: Optional[int] = None) -> str:
        """Returns the place of the element at ``index``, or of the list itself."""
        if index is None or not 0 <= index < len(self.origins):
            return self.origin
        return self.origins[index]

    def put(self, index: int, value: Any, origin: str) -> None:
        """Sets the element at ``index``, or appends it if ``index`` is the length."""
        self[index : index + 1] = [value]
        self.origins[index : index + 1] = [origin]


def leaves(node: Union[Node, NodeList]) -> Iterator[Tuple[str, Any, str]]:
    """Yields (path, value, where) for every value of a Node or NodeList that is not a mapping.

    A list is one value if all its elements are scalars from one place. Otherwise each of its
    elements is a value. An empty mapping is a value.
    """
    items: Iterable[Tuple[Any, Any]] = node.items() if isinstance(node, Node) else enumerate(node)
    for key, value in items:
        is_inner = isinstance(value, Node) or (isinstance(value, NodeList) and not _flat(value))
        if value and is_inner:
            yield from leaves(value)
        else:
            yield join_path(node.path, key), value, node.where(key)


def place(node: object, key: Any = None) -> str:
    """Returns the place of a key (or of ``node`` itself) for a message.

    For example 'configs/a.yaml:12: backbone.depth'. A plain dict or list knows no file.
    """
    located = node if isinstance(node, (Node, NodeList)) else Node()
    path = located.path if key is None else join_path(located.path, key)
    where = located.where(key)
    return ": ".join(part for part in (where, path) if part) or "config"


def without(node: Node, *keys: str) -> Node:
    """Returns a copy of ``node`` without these keys; the other keys keep their places."""
    rest = copy.copy(node)
    for key in keys:
        rest.pop(key, None)
    return rest


def display_path(path: Union[str, "os.PathLike[str]"]) -> str:
    """Returns ``path`` for a message: relative if it lies below the working directory."""
    path = os.path.abspath(path)
    relative = os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path
    return path if relative.startswith(os.pardir) else relative


def join_path(path: str, key: Union[str, int]) -> str:
    """Returns the dotted path of ``key`` below ``path``."""
    return f"{path}.{key}" if path else str(key)


def _flat(values: NodeList) -> bool:
    scalars = not any(isinstance(value, (dict, list)) for value in values)
    return scalars and len(set(values.origins)) == 1


def overlaid(inherited: Optional[Node], node: Node) -> Node:
    """Returns ``node`` laid over ``inherited``: mappings merge, everything else replaces.

    A mapping with another ``type`` than the inherited one replaces it, because its keys are
    another part's. Every value keeps its place.
    """
    result = Node(node.path, node.origin)
    if inherited is not None and node.get("type", inherited.get("type")) == inherited.get("type"):
        for key, value in inherited.items():
            result.put(key, value, inherited.where(key))
    for key, value in node.items():
        below = result.get(key)
        if isinstance(value, Node):
            value = overlaid(below if isinstance(below, Node) else None, value)
        result.put(key, value, node.where(key))
    return result

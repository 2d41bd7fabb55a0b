"""The layers of a graph, which are convolutions and dense layers: their names and patterns."""

from fnmatch import fnmatchcase
from typing import Dict, Iterable, Iterator, List, Mapping, Set, Tuple

from mxnet.gluon import Block

from detkit.errors import ExportError
from detkit.export.graph.graph import Graph, Node

LAYERS = ("Convolution", "FullyConnected")
REPEATED = "@"  # between a layer's name and the number of its use, from the second one on

FIRST, FINAL = "first", "final"

# The operators that pass features on between the layers of a backbone, a neck or a head.
PASSING = {
    *("Activation", "relu", "LeakyReLU", "clip", "sigmoid", "BatchNorm", "GroupNorm", "Dropout"),
    *("Pooling", "Flatten", "Reshape", "UpSampling", "Deconvolution", "slice_like", "Concat"),
    *("elemwise_add", "elemwise_mul", "broadcast_add", "broadcast_mul", "_plus_scalar"),
    *("_mul_scalar", "_div_scalar", "_minimum_scalar", "_maximum_scalar"),
}


def name_layers(graph: Graph, model: Block) -> None:
    """Names each layer after the place of its block in ``model``: backbone.layer1.0.conv1.

    The second use of a layer, such as on another level of a pyramid, gets the suffix @2. The other
    operators keep their names, with such a suffix if necessary, so that every name is unique.
    """
    places: Dict[str, str] = {}
    for path, block in _blocks(model):
        places.setdefault(block.prefix, path)
    used: Dict[str, int] = {}
    for node in graph.nodes():
        if node.op is None:
            continue
        name = _place(node.name, places) if node.op in LAYERS else node.name
        used[name] = used.get(name, 0) + 1
        node.name = f"{name}{REPEATED}{used[name]}" if used[name] > 1 else name


def _blocks(block: Block, path: str = "") -> Iterator[Tuple[str, Block]]:
    """Yields (path, block) of every block within one; a path is the prefix of structural names."""
    for name, child in block._children.items():
        below = f"{path}.{name}" if path else name
        yield below, child
        yield from _blocks(child, below)


def _place(name: str, places: Mapping[str, str]) -> str:
    """Returns the path of the block that made an operator, with the operator's name in the block.

    places: {prefix of a block: its path}.
    """
    within = [prefix for prefix in places if prefix and name.startswith(prefix)]
    if not within:
        return name
    prefix = max(within, key=len)
    rest = name[len(prefix) :]
    return places[prefix] if rest == "fwd" else f"{places[prefix]}.{rest}"


def select(graph: Graph, patterns: Iterable[str]) -> Set[str]:
    """Returns the names of the layers that match any of the patterns.

    patterns: names; the beginnings of names, up to a dot; names with * and ?; "first", the layer
        nearest to the images, in all its uses; "final", the last layers of the heads.

    Raises ExportError for a pattern that matches no layer.
    """
    layers = [node for node in graph.nodes() if node.op in LAYERS]
    chosen: Set[str] = set()
    for pattern in patterns:
        if pattern == FIRST:
            found = [node.name for node in layers if _matches(node.name, layers[0].name)]
        elif pattern == FINAL:
            found = _final(graph)
        else:
            found = [node.name for node in layers if _matches(node.name, pattern)]
        if not found:
            names = ", ".join(node.name for node in layers if REPEATED not in node.name)
            raise ExportError(
                f'layers to keep: expected "{FIRST}", "{FINAL}", or a name, the beginning of a '
                f"name or a pattern of {names}; found {pattern!r}, which matches none"
            )
        chosen.update(found)
    return chosen


def no_layer_left(precision: str, keep: Iterable[str]) -> ExportError:
    """Returns the ExportError for patterns that keep every layer in float32."""
    return ExportError(
        f"{precision}: expected at least one layer, found that {', '.join(keep)} keep all in "
        "float32; keep fewer"
    )


def _matches(name: str, pattern: str) -> bool:
    name = name.split(REPEATED)[0] if REPEATED not in pattern else name
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def _final(graph: Graph) -> List[str]:
    """Returns the names of the layers whose results reach no other layer as features."""
    before_another: Set[Node] = set()
    for node in reversed(graph.nodes()):
        if node.op in LAYERS or (node in before_another and node.op in PASSING):
            before_another.update(source.node for source in node.inputs)
    return [node.name for node in graph.nodes() if node.op in LAYERS and node not in before_another]

"""The layers of a graph, convolutions and dense ones: their names, and which of them to keep."""

from fnmatch import fnmatchcase

from detkit.errors import ExportError

LAYERS = ("Convolution", "FullyConnected")
REPEATED = "@"  # between a layer's name and the number of times it was used before

FIRST, FINAL = "first", "final"

# Whatever passes features on from one layer to another, within a backbone, a neck or a head.
PASSING = {
    *("Activation", "relu", "LeakyReLU", "clip", "sigmoid", "BatchNorm", "GroupNorm", "Dropout"),
    *("Pooling", "Flatten", "Reshape", "UpSampling", "Deconvolution", "slice_like", "Concat"),
    *("elemwise_add", "elemwise_mul", "broadcast_add", "broadcast_mul", "_plus_scalar"),
    *("_mul_scalar", "_div_scalar", "_minimum_scalar", "_maximum_scalar"),
}


def name_layers(graph, model):
    """Call each layer by the place of its block in ``model``, such as backbone.layer1.0.conv1.

    A layer used for the second time, as on the levels of a pyramid, is called ...@2. Other
    operators keep their names, with the same addition: no two are the same any more.
    """
    places = {}
    for path, block in _blocks(model):
        places.setdefault(block.prefix, path)
    used = {}
    for node in graph.nodes():
        if node.op is None:
            continue
        name = _place(node.name, places) if node.op in LAYERS else node.name
        used[name] = used.get(name, 0) + 1
        node.name = f"{name}{REPEATED}{used[name]}" if used[name] > 1 else name


def _blocks(block, path=""):
    """(path, block) of every block below one, as parameters are named by their structure."""
    for name, child in block._children.items():
        below = f"{path}.{name}" if path else name
        yield below, child
        yield from _blocks(child, below)


def _place(name, places):
    """The path of the block in whose code an operator was made, and what it was called there."""
    within = [prefix for prefix in places if prefix and name.startswith(prefix)]
    if not within:
        return name
    prefix = max(within, key=len)
    rest = name[len(prefix) :]
    return places[prefix] if rest == "fwd" else f"{places[prefix]}.{rest}"


def select(graph, patterns):
    """The names of the layers that some patterns mean, a set.

    patterns: names; the beginnings of names, up to a dot; names with * and ?; "first", the layer
        nearest to the images; "final", every layer that no other comes after in its head.

    Raises ExportError for a pattern without a layer.
    """
    layers = [node for node in graph.nodes() if node.op in LAYERS]
    chosen = set()
    for pattern in patterns:
        if pattern == FIRST:
            found = [layers[0].name] if layers else []
        elif pattern == FINAL:
            found = _final(graph)
        else:
            found = [node.name for node in layers if _matches(node.name, pattern)]
        if not found:
            names = ", ".join(node.name for node in layers if REPEATED not in node.name)
            raise ExportError(
                f'no layer is called {pattern!r}; expected "{FIRST}", "{FINAL}", or a name, the '
                f"beginning of one or a pattern for {names}"
            )
        chosen.update(found)
    return chosen


def _matches(name, pattern):
    name = name.split(REPEATED)[0] if REPEATED not in pattern else name
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def _final(graph):
    """The layers whose results reach no other layer as features."""
    before_another = set()
    for node in reversed(graph.nodes()):
        if node.op in LAYERS or (node in before_another and node.op in PASSING):
            before_another.update(source.node for source in node.inputs)
    return [node.name for node in graph.nodes() if node.op in LAYERS and node not in before_another]

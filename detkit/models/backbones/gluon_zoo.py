"""Every classifier of Gluon's and GluonCV's model zoos as a backbone."""

import json
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock, SymbolBlock
from mxnet.gluon.model_zoo import vision

from detkit.models.layers import HE_FAN_OUT
from detkit.models.levels import maps_of_strides
from detkit.models.norms import freeze_norms, freeze_statistics
from detkit.registry import BACKBONES
from detkit.typing import Namespace, Symbol, Tensor
from detkit.wording import did_you_mean, install

PROBES = (512, 1024)  # the sides in pixels of the images that strides are measured with
FREEZING: Dict[str, Callable[[HybridBlock], None]] = {
    "BN": lambda network: None,
    "FrozenBN": freeze_norms,
    "FrozenStatsBN": freeze_statistics,
}


@BACKBONES.register()
class GluonZoo(HybridBlock):
    """A network of a model zoo, up to the last map that is asked for.

    name: a name in mxnet.gluon.model_zoo.vision or, with gluoncv installed, gluoncv.model_zoo.
    out_strides: the strides of the maps that are returned. The map of a stride is the last one that
        everything after it is computed from: the end of a residual stage, not the middle of a
        block. If there is no such map, as for some strides of HRNet, it is the widest map, and the
        last of equally wide ones.
    out_names: the names of the outputs of the network's symbol that are returned, instead of
        ``out_strides``.
    norm: "BN", "FrozenBN" or "FrozenStatsBN", see norm_layer: how the network's own batch norms are
        trained. No other kind can replace them, and a network without batch norms gets none.

    New convolutions get He's initialisation unless the network asks for another. The key
    ``pretrained`` takes the path of a ``.params`` file of the whole classifier, as
    ``save_parameters`` writes it.
    """

    def __init__(
        self,
        name: str,
        out_strides: Sequence[int] = (16,),
        out_names: Optional[Sequence[str]] = None,
        norm: str = "BN",
    ) -> None:
        super().__init__()
        if norm not in FREEZING:
            raise ValueError(f"norm: expected one of {', '.join(FREEZING)}, found {norm!r}")
        with mx.name.NameManager():  # the same names however many networks there are
            network = classifier(name)
            FREEZING[norm](network)
            symbol, maps = _trace(network, name)
        if out_names is None:
            chosen = _of_strides(out_strides, maps, name)
        else:
            chosen = [_of_name(out, maps, name) for out in out_names]
        self.channels = tuple(chosen_map.channels for chosen_map in chosen)
        self.strides = tuple(chosen_map.stride for chosen_map in chosen)
        structure = network._collect_params_with_prefix()
        self._names_in_file = {parameter.name: key for key, parameter in structure.items()}
        parameters = network.collect_params()
        for key, parameter in parameters.items():
            if key.endswith("weight") and parameter.init is None:
                parameter.init = HE_FAN_OUT
        with self.name_scope():
            outputs = [symbol[chosen_map.position] for chosen_map in chosen]
            self.network = SymbolBlock(outputs, mx.sym.var("data", dtype="float32"), parameters)

    def pretrained_part(self) -> Tuple[HybridBlock, Dict[str, str]]:
        """Returns the network, and {our name: name in a file of the whole classifier}."""
        ours = self.network._collect_params_with_prefix()
        names = {key: self._names_in_file[parameter.name] for key, parameter in ours.items()}
        return self.network, names

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """Returns maps (B, C, H / stride, W / stride) of images (B, 3, H, W), in their order."""
        maps = self.network(images)
        return maps if isinstance(maps, list) else [maps]


class Map(NamedTuple):
    """An output of a symbol that has the shape of a map.

    position, name: of the output, among all outputs of the symbol's internals.
    bottleneck: whether everything after it is computed from it.
    """

    position: int
    name: str
    channels: int
    stride: int
    bottleneck: bool


def classifier(name: str) -> HybridBlock:
    """Returns the network ``name`` of Gluon's or of GluonCV's model zoo.

    Raises ValueError if neither has it, or if Gluon has not and GluonCV cannot be imported.
    """
    try:
        return vision.get_model(name)
    except ValueError:
        pass  # GluonCV may have it
    try:
        from gluoncv import model_zoo
    except ImportError as error:
        raise ValueError(
            f"name: expected a network of Gluon's own model zoo, found {name!r}; GluonCV "
            f"may have it, but cannot be imported ({error}): {install('zoo')}"
        ) from error
    try:
        return model_zoo.get_model(name, pretrained=False)
    except ValueError as error:
        hint = did_you_mean(name, model_zoo.get_model_list())
        raise ValueError(
            f"name: expected a network of a model zoo, found {name!r}{hint}"
        ) from error


def _trace(network: HybridBlock, name: str) -> Tuple[Symbol, List[Map]]:
    """Returns a symbol of everything that the network computes, and the Maps in it, in order.

    The stride of a map is measured as the number of additional pixels that make one additional
    cell, which does not depend on the padding.
    """
    images = mx.sym.var("data", dtype="float32")
    try:
        output = getattr(network, "features", network)(images)
        symbol = (output[0] if isinstance(output, tuple) else output).get_internals()
        small, large = (symbol.infer_shape(data=(1, 3, side, side))[1] for side in PROBES)
    except mx.MXNetError as error:
        raise ValueError(
            f"name: expected a network that takes images of {PROBES[0]} and {PROBES[1]} pixels, "
            f"found {name!r}: {error}"
        ) from error
    graph = json.loads(symbol.tojson())
    bottlenecks = _bottlenecks(graph["nodes"])
    maps = []
    rows = zip(symbol.list_outputs(), graph["heads"], small, large)
    for index, (output, (node, *_), before, after) in enumerate(rows):
        computed = graph["nodes"][node]["op"] not in ("null", "Dropout")
        cells = after[2] - before[2] if computed and len(before) == 4 else 0
        if cells > 0 and (PROBES[1] - PROBES[0]) % cells == 0:
            stride = (PROBES[1] - PROBES[0]) // cells
            maps.append(Map(index, output, before[1], stride, node in bottlenecks))
    return symbol, maps


def _bottlenecks(nodes: Sequence[Mapping[str, Any]]) -> Set[int]:
    """Returns the indices of the nodes that every path from the images to the output passes.

    nodes: of a symbol's JSON, in an order of computation.
    """
    last_use: Dict[int, int] = {}  # of the nodes that depend on the images
    for index, node in enumerate(nodes):
        sources = [source for source, *_ in node["inputs"] if source in last_use]
        if node["name"] == "data" or sources:
            last_use.update(dict.fromkeys([*sources, index], index))
    bottlenecks, reached = set(), 0
    for index in sorted(last_use):
        if reached <= index:
            bottlenecks.add(index)
        reached = max(reached, last_use[index])
    return bottlenecks


def _of_strides(out_strides: Sequence[int], maps: Sequence[Map], name: str) -> List[Map]:
    """Returns the map of each of ``out_strides``; the docstring of GluonZoo says which it is."""
    best = {}
    for stride in sorted({each.stride for each in maps}):
        same = [each for each in maps if each.stride == stride]
        ends = [each for each in same if each.bottleneck]
        best[stride] = ends[-1] if ends else max(reversed(same), key=lambda each: each.channels)
    try:
        numbers = maps_of_strides(out_strides, list(best))
    except ValueError as error:
        raise ValueError(f"{error}; these are the maps of {name}") from error
    return [list(best.values())[number] for number in numbers]


def _of_name(out: str, maps: Sequence[Map], name: str) -> Map:
    """Returns the last map whose name is ``out``. Raises ValueError if there is none."""
    same = [each for each in maps if each.name == out]
    if not same:
        hint = did_you_mean(out, [each.name for each in maps])
        raise ValueError(f"out_names: expected names of maps of {name}, found {out!r}{hint}")
    return same[-1]

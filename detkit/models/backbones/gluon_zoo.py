"""Every classifier of Gluon's and GluonCV's model zoos as a backbone."""

import json
from typing import NamedTuple, Optional, Sequence

import mxnet as mx
from mxnet.gluon import HybridBlock, SymbolBlock
from mxnet.gluon.model_zoo import vision

from detkit.errors import ConfigError
from detkit.models.layers import HE_FAN_OUT, freeze_norms, freeze_statistics, maps_of_strides
from detkit.registry import BACKBONES
from detkit.wording import did_you_mean

PROBES = (512, 1024)  # sides of the images by which strides are found
FREEZING = {
    "BN": lambda network: None,
    "FrozenBN": freeze_norms,
    "FrozenStatsBN": freeze_statistics,
}


@BACKBONES.register()
class GluonZoo(HybridBlock):
    """The network ``name`` up to the last map that is wanted.

    name: as in mxnet.gluon.model_zoo.vision or, with gluoncv installed, gluoncv.model_zoo.
    out_strides: the strides of the maps that are returned. Of each stride it is the last map that
        everything after it is computed from: the end of a residual stage, not the middle of a
        block. Where no map is that (some of HRNet's), it is the widest, and the last of those.
    out_names: names of outputs of the network's symbol, to be taken instead.
    norm: "BN", "FrozenBN" or "FrozenStatsBN", see norm_layer: how the network's own batch norms are
        trained. No other kind can replace them; a network without batch norms stays without.

    New convolutions get He's initialisation where the network asks for no other. ``pretrained`` is
    the path of a ``.params`` file of the whole classifier, as ``save_parameters`` writes it.
    """

    def __init__(
        self,
        name: str,
        out_strides: Sequence[int] = (16,),
        out_names: Optional[Sequence[str]] = None,
        norm: str = "BN",
    ):
        super().__init__()
        if norm not in FREEZING:
            raise ValueError(f"norm: expected one of {', '.join(FREEZING)}, found {norm!r}")
        with mx.name.NameManager():  # the same names however many networks there are
            network = _classifier(name)
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
            outputs = [symbol[chosen_map.index] for chosen_map in chosen]
            self.network = SymbolBlock(outputs, mx.sym.var("data", dtype="float32"), parameters)

    def pretrained_part(self):
        """The network, and our names -> those of a file that its whole classifier was saved to."""
        ours = self.network._collect_params_with_prefix()
        names = {key: self._names_in_file[parameter.name] for key, parameter in ours.items()}
        return self.network, names

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> a list of maps (B, C, H / stride, W / stride)."""
        maps = self.network(images)
        return maps if isinstance(maps, list) else [maps]


class Map(NamedTuple):
    """An output of a symbol that has the shape of a map.

    index, name: among all outputs of the symbol, those in the middle included.
    bottleneck: whether everything after it is computed from it.
    """

    index: int
    name: str
    channels: int
    stride: int
    bottleneck: bool


def _classifier(name):
    try:
        return vision.get_model(name)
    except ValueError:
        pass  # not one of Gluon's own: perhaps GluonCV's
    try:
        from gluoncv import model_zoo
    except ImportError as error:
        raise ConfigError(
            f"GluonZoo: {name!r} is not in Gluon's own model zoo, and GluonCV's cannot be "
            f"imported ({error}): pip install 'detkit[zoo]'"
        ) from error
    try:
        return model_zoo.get_model(name, pretrained=False)
    except ValueError as error:
        hint = did_you_mean(name, model_zoo.get_model_list())
        raise ValueError(f"name: no model zoo has {name!r}{hint}") from error


def _trace(network, name):
    """All that the network computes of an image as one symbol, and the Maps in it, in order.

    The stride is how many pixels more it takes for a cell more, whatever the padding.
    """
    images = mx.sym.var("data", dtype="float32")
    try:
        output = getattr(network, "features", network)(images)
        symbol = (output[0] if isinstance(output, tuple) else output).get_internals()
        small, large = (symbol.infer_shape(data=(1, 3, side, side))[1] for side in PROBES)
    except mx.MXNetError as error:
        raise ValueError(
            f"name: {name!r} does not take images of {PROBES[0]} and {PROBES[1]} pixels: {error}"
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


def _bottlenecks(nodes):
    """Of nodes in an order of computation, those that no path from the images leads around."""
    last_use = {}  # of what depends on the images
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


def _of_strides(out_strides, maps, name):
    """The map of each of ``out_strides``, chosen as GluonZoo says."""
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


def _of_name(out, maps, name):
    same = [each for each in maps if each.name == out]
    if not same:
        hint = did_you_mean(out, [each.name for each in maps])
        raise ValueError(f"out_names: {name} has no map {out!r}{hint}")
    return same[-1]

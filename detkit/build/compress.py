"""Truncated SVD (Girshick 2015, section 3.1): a detector with smaller fully connected layers."""

import copy
from typing import Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet.gluon import Block, HybridBlock, nn

from detkit.build.load import detector_for
from detkit.build.model import build_model
from detkit.config import Config, did_you_mean, place
from detkit.config.yaml import Node
from detkit.detector import Detector
from detkit.errors import ConfigError
from detkit.models.roi_heads import FCHead
from detkit.models.roi_heads.fc import check_rank, layer_name

Rank = Union[int, float]  # a whole number, or a share in (0, 1] of the largest rank
HEADS = ("roi_head", "roi_heads")  # the parts of detectors that may be FCHeads


class Truncation(NamedTuple):
    """The compression of a layer.

    name: the place of the layer, such as "roi_head.fc6". outputs, inputs: the sides of its weights.
    rank: of the product that replaces them. kept: the share, in [0, 1], of the sum of the squares
    of the weights that the product has.
    """

    name: str
    outputs: int
    inputs: int
    rank: int
    kept: float


def truncated(weights: np.ndarray, rank: int) -> Tuple[np.ndarray, np.ndarray, float]:
    """Returns the two matrices whose product is the nearest of that rank, and the share it keeps.

    weights (outputs, inputs) is U S V^T. The first matrix is S V^T (rank, inputs), the second is U
    (outputs, rank), both reduced to the largest singular values. For the share, see Truncation.
    """
    left, values, right = np.linalg.svd(weights.astype("float64"), full_matrices=False)
    total = np.square(values).sum()
    kept = np.square(values[:rank]).sum() / total if total else 1.0
    return values[:rank, None] * right[:rank], left[:, :rank], float(kept)


def compressed(detector: Detector, ranks: Mapping[str, Rank]) -> Tuple[Detector, List[Truncation]]:
    """Returns a Detector with layers of low rank, and the Truncation of each; ``detector`` stays.

    detector: one that was built from a config, with an FCHead or several as its heads of RoIs.
    ranks: {layer: rank}; the layers are called fc6, fc7 and so on, as those of VGG16. All heads of
        a cascade get the same ranks. A layer that has a rank already may get a smaller one.

    Raises ConfigError for another detector, an unknown layer, or a rank out of range.
    """
    assert detector.config is not None  # a detector of load and of the converters has one
    config = copy.deepcopy(detector.config)
    for _, head, node in heads_of(detector.model, config):
        node.put("ranks", _ranks_of(head, ranks), "--ranks")
        node.pop("pretrained", None)  # a file's weights have full rank
    (ctx, *_) = next(iter(detector.model.collect_params().values())).list_ctx()
    model = build_model(config, detector.foreground_names, ctx, pretrained=False)
    _copy(detector.model, model)
    truncations = []
    both = zip(heads_of(detector.model, config), heads_of(model, config))
    for (name, before, _), (_, after, _) in both:
        layers = zip(layers_of(before), layers_of(after))
        for number, (old, new) in enumerate(layers):
            if layer_name(number) in ranks:
                where = f"{name}.{layer_name(number)}"
                truncations.append(_truncate(where, old, new))
    small = detector_for(config, model, detector.class_names, ctx, detector.first_label)
    return small, truncations


def heads_of(model: HybridBlock, config: Config) -> Iterator[Tuple[str, FCHead, Node]]:
    """Yields (place, head, its section) of each head of RoIs.

    Raises ConfigError if there is none, or one that is no FCHead.
    """
    sections = config["model"]
    parts = [name for name in HEADS if getattr(model, name, None) is not None]
    if not parts:
        raise ConfigError(
            f"{place(sections, 'type')}: expected a detector with a head of RoIs, whose layers can "
            f"be compressed, found {sections['type']!r}"
        )
    for name in parts:
        several = isinstance(sections[name], list)
        nodes = sections[name] if several else [sections[name]]
        heads = list(getattr(model, name)) if several else [getattr(model, name)]
        for number, (head, node) in enumerate(zip(heads, nodes)):
            if type(head) is not FCHead:
                raise ConfigError(
                    f"{place(node, 'type')}: expected an FCHead, whose layers can be compressed, "
                    f"found {node['type']!r}"
                )
            yield (f"{name}.{number}" if several else name), head, node


def layers_of(head: FCHead) -> List[Block]:
    """Returns the fully connected layers of a head, each a Dense, or a sequence of two."""
    return [layer for layer in head.fc if not isinstance(layer, nn.Dropout)]


def weights_of(layer: Block) -> np.ndarray:
    """Returns the weights (outputs, inputs) of a layer of a head, whatever its rank."""
    if isinstance(layer, nn.Dense):
        return np.asarray(layer.weight.data().asnumpy())
    first, second = (each.weight.data().asnumpy().astype("float64") for each in layer)
    return np.asarray(second @ first)


def sides_of(layer: Block) -> Tuple[int, int]:
    """Returns the outputs and the inputs of a layer of a head, whatever its rank."""
    first, last = (layer, layer) if isinstance(layer, nn.Dense) else layer
    return last.weight.shape[0], first.weight.shape[1]


def _ranks_of(head: FCHead, ranks: Mapping[str, Rank]) -> Sequence[Optional[int]]:
    """Returns the argument ``ranks`` of a head. Raises ConfigError."""
    layers = layers_of(head)
    names = [layer_name(number) for number in range(len(layers))]
    for name in ranks:
        if name not in names:
            raise ConfigError(
                f"--ranks {name}: expected one of the head's layers, {', '.join(names) or 'none'}, "
                f"found {name!r}{did_you_mean(name, names)}"
            )
    chosen: List[Optional[int]] = []
    for name, layer in zip(names, layers):
        wanted = ranks.get(name)
        if wanted is None:
            chosen.append(None if isinstance(layer, nn.Dense) else layer[0].weight.shape[0])
            continue
        full = min(sides_of(layer))
        rank = max(round(wanted * full), 1) if isinstance(wanted, float) else wanted
        try:
            check_rank(f"--ranks {name}", rank, full)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        chosen.append(rank)
    return chosen


def _copy(source: Block, target: Block) -> None:
    """Copies the parameters of one network that another has, too, in the same shape."""
    theirs = source._collect_params_with_prefix()
    for name, parameter in target._collect_params_with_prefix().items():
        if name in theirs and theirs[name].shape == parameter.shape:
            parameter.set_data(theirs[name].data())


def _truncate(name: str, layer: Block, small: nn.HybridSequential) -> Truncation:
    """Fills the two layers of ``small`` with the truncated weights of ``layer``."""
    first, second = small
    rank = first.weight.shape[0]
    inner, outer, kept = truncated(weights_of(layer), rank)
    first.weight.set_data(mx.nd.array(inner))
    second.weight.set_data(mx.nd.array(outer))
    last = layer if isinstance(layer, nn.Dense) else layer[1]
    second.bias.set_data(last.bias.data())
    outputs, inputs = sides_of(layer)
    return Truncation(name, outputs, inputs, rank, kept)

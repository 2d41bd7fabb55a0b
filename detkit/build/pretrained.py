"""The keys ``pretrained`` of a config -> weights in the parts of a detector."""

import logging
from typing import Dict

import numpy as np
from mxnet.gluon import HybridBlock

from detkit.config import place
from detkit.config.yaml import Node
from detkit.errors import ConfigError, WeightsError
from detkit.models import Normalize
from detkit.weights import (
    CAFFE2_ORDER,
    find_weights,
    from_caffe2,
    is_caffe2,
    load_weights,
    normalisation_of,
    read_weights,
)

log = logging.getLogger(__name__)


def load_pretrained(block: HybridBlock, node: Node, normalize: Normalize) -> None:
    """Puts the weights that the section ``node`` names under ``pretrained`` into its part.

    normalize: that of the detector, which must be the one that the weights were trained with, if
        that one is known.

    Raises ConfigError and WeightsError with the place in the config.
    """
    weights = node.get("pretrained")
    if weights is None:
        return
    where = place(node, "pretrained")
    if not isinstance(weights, str):
        raise ConfigError(f"{where}: expected a name, a path, a URL or null, found {weights!r}")
    _check_normalisation(weights, normalize, where)
    path = find_weights(weights, where=where)
    try:
        state = read_weights(path)
    except WeightsError as error:  # it begins with the path
        raise WeightsError(f"{where}: {error}") from error
    # A part that takes only some of its weights from the file has this method (plugins/README.md).
    part = getattr(block, "pretrained_part", lambda: (block, None))
    try:
        loaded, names = part()
        unused = load_weights(loaded, _with_torchs_names(state, normalize, where), names)
    except WeightsError as error:
        raise WeightsError(f"{where}: {path}: {error}") from error
    hint = " (--debug lists them)" if unused else ""
    line = "%s: read %s; %d of its %d names are not used%s"
    log.info(line, node.path, path, len(unused), len(state), hint)
    log.debug("%s: names not used: %s", node.path, ", ".join(unused) or "none")


def _check_normalisation(weights: str, normalize: Normalize, where: str) -> None:
    expected = normalisation_of(weights)
    if expected and tuple(expected) != normalize.mean_std_order:
        raise ConfigError(
            f"{where}: expected the normalisation of {weights!r}, mean {expected.mean}, std "
            f"{expected.std}, order {expected.order}, found {normalize.mean_std_order}; set "
            "model.normalize to the expected values"
        )


def _with_torchs_names(
    state: Dict[str, np.ndarray], normalize: Normalize, where: str
) -> Dict[str, np.ndarray]:
    """Returns the arrays of a file under torchvision's names, if its own are those of Caffe2."""
    if not is_caffe2(state):
        return state
    order = normalize.mean_std_order[2]
    if order != CAFFE2_ORDER:
        raise ConfigError(
            f"{where}: expected the channels in the order {CAFFE2_ORDER}, in which Detectron's "
            f"networks were trained, found {order}; set model.normalize, for most of its files to "
            "{order: BGR, mean: [102.9801, 115.9465, 122.7717], std: [1, 1, 1]}"
        )
    return from_caffe2(state)

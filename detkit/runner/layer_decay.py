"""Layer-wise decay of the learning rate: early layers of a backbone are trained more slowly."""

import itertools
from typing import Dict, Iterable, List

from detkit.errors import ConfigError

BACKBONE = "backbone."


def layer_factors(names: Iterable[str], decay: float) -> Dict[str, float]:
    """Returns the factor of the learning rate of each weight of a backbone, by name.

    The last layer has the factor ``decay``, the one before it ``decay`` squared, and so on. All
    other weights of a detector keep their rate. Clark et al. 2020 (ELECTRA) fine-tune transformers
    so, and Li et al. 2022 (ViTDet) detectors.

    names: the names of a detector's weights in their order. decay: above 0, and at most 1.

    A layer is what shares the first number in its names, with the names before the number and one
    more number behind it: a block of a ResNet (``layer1.0``), of a MobileNet or of a VGG
    (``features.5``). Weights without a number in their names are a layer each, by their first name
    (``conv1``). A norm alone belongs to the layer before it. Frozen layers count, too, so that the
    factors do not depend on what is frozen.

    Raises ConfigError if there is no backbone with weights.
    """
    layers: List[List[str]] = []
    own = (name for name in names if name.startswith(BACKBONE))
    for _, group in itertools.groupby(own, key=_layer_of):
        weights = list(group)
        if layers and not any(name.endswith("weight") for name in weights):
            layers[-1] += weights
        else:
            layers.append(weights)
    if not layers:
        raise ConfigError(
            "train.layer_decay: expected a detector with a part 'backbone' that has weights, found "
            "none; set train.layer_decay to 1"
        )
    depth = len(layers)
    return {
        name: decay ** (depth - number) for number, layer in enumerate(layers) for name in layer
    }


def _layer_of(name: str) -> str:
    words = name[len(BACKBONE) :].split(".")[:-1]
    numbers = [place for place, word in enumerate(words) if word.isdigit()]
    return ".".join(words[: numbers[0] + 1] if numbers else words[:1])

"""The parts that all converters share: recipes, names of classes, and the Detector made of both."""

import os
from pathlib import Path
from typing import Callable, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from mxnet.gluon import HybridBlock

from detkit.build import build_model, choose_operators
from detkit.build.load import detector_for
from detkit.config import Config, load_config
from detkit.detector import Detector
from detkit.device import find_device
from detkit.errors import WeightsError
from detkit.models.norms import freeze_norms
from detkit.weights.load import load_weights
from detkit.weights.published import find_weights
from detkit.wording import did_you_mean, the_nearest

RECIPES = Path(__file__).parent / "models"
BACKGROUND = "__background__"

State = Dict[str, np.ndarray]  # a network's arrays by their names
Weights = Union[str, Path, Mapping[str, np.ndarray]]  # a path, a URL, or a state
Replacement = Union[str, Callable[..., str]]  # what re.sub puts instead of a part of a name


def known(name: str, models: Iterable[str]) -> str:
    """Returns ``name``, one of ``models``. Raises WeightsError with the near match of another."""
    if name not in models:
        raise WeightsError(
            f"expected the name of a model, found {name!r}{did_you_mean(name, models)}\n"
            f"  known: {', '.join(models)}"
        )
    return name


def load_recipe(recipe: str) -> Config:
    """Returns the config that describes a detector at inference."""
    return load_config(RECIPES / f"{recipe}.yaml")


def state_of(weights: Weights, read: Callable[..., Mapping[str, np.ndarray]]) -> State:
    """Returns {name: array}: ``weights`` itself, or what ``read`` finds in the file of this name.

    weights: {name: array}, or a path or URL as find_weights takes it.
    """
    if isinstance(weights, (str, os.PathLike)):
        weights = read(find_weights(weights))
    return {name: np.asarray(array) for name, array in weights.items()}


def rows_of(name: str, array: str, state: State) -> int:
    """Returns the length of an array of ``state``, which every file of the model ``name`` has.

    Raises WeightsError if ``state`` lacks it.
    """
    if array not in state:
        raise WeightsError(
            f"weights of {name}: expected {array!r}, found none{the_nearest(array, state)}"
        )
    return len(state[array])


def class_names_of(
    count: int,
    given: Optional[Sequence[str]],
    published: Iterable[Sequence[str]],
    background: bool = False,
) -> Tuple[str, ...]:
    """Returns a name for each of ``count`` labels.

    given: the user's names, or None. Without them, the names are taken from the list among
        ``published`` that has as many; if there is none, they are numbers.
    background: whether label 0 is the background.

    Raises WeightsError if another number of names is given.
    """
    if given is None:
        first = (BACKGROUND,) if background else ()
        numbers = (*first, *(str(label) for label in range(len(first), count)))
        return next((tuple(names) for names in published if len(names) == count), numbers)
    if len(given) != count:
        which = "the background first" if background else "without the background"
        raise WeightsError(
            f"class_names: expected {count} names, one for each class of the weights, {which}, "
            f"found {len(given)}"
        )
    return tuple(given)


def make_detector(
    config: Config,
    class_names: Sequence[str],
    state: State,
    names_of: Callable[[HybridBlock], Dict[str, str]],
    device: str,
    first_label: int = 0,
) -> Detector:
    """Returns the Detector of a recipe with the weights of ``state``.

    class_names, first_label: see Detector.
    names_of: a function from the model to {our name: the name in the state}.
    device: see detkit.load.

    Raises WeightsError if a weight is missing, superfluous or of another shape.
    """
    ctx = find_device(device)
    choose_operators(config, ctx)
    model = build_model(config, class_names[first_label:], ctx, pretrained=False)
    load_weights(model, state, names_of(model), allow_unused=False)
    freeze_norms(model)  # nothing is trained here, and frozen ones cost no time
    return detector_for(config, model, class_names, ctx, first_label)

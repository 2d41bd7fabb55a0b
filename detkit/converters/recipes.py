"""What converters of whole detectors share: a recipe in models/, and the Detector made of it."""

from pathlib import Path

from detkit.build import build_model
from detkit.build.load import detector_for
from detkit.config import load_config
from detkit.device import find_device
from detkit.errors import WeightsError
from detkit.models.layers import freeze_norms
from detkit.weights.load import load_weights
from detkit.wording import did_you_mean, the_nearest

RECIPES = Path(__file__).parent / "models"


def known(name, models):
    """``name``, one of ``models``. Raises WeightsError with the near match for another."""
    if name not in models:
        raise WeightsError(
            f"no model {name!r} is known{did_you_mean(name, models)}\n  known: {', '.join(models)}"
        )
    return name


def load_recipe(recipe):
    """The config that describes a detector at inference."""
    return load_config(RECIPES / f"{recipe}.yaml")


def rows_of(name, array, state):
    """The length of an array of ``state`` that no weights of the model ``name`` are without."""
    if array not in state:
        hint = the_nearest(array, state)
        raise WeightsError(f"these are no weights of {name}: there is no {array!r}{hint}")
    return len(state[array])


def make_detector(config, class_names, state, names_of, device, first_label=0):
    """The Detector of a recipe with the weights of ``state``.

    class_names: as of the Detector. names_of: model -> {our name: the state's}.

    Raises WeightsError where a weight is missing, superfluous or of another shape.
    """
    ctx = find_device(device)
    model = build_model(config, class_names[first_label:], ctx, pretrained=False)
    load_weights(model, state, names_of(model), allow_unused=False)
    freeze_norms(model)  # nothing is trained here, and frozen ones cost no time
    return detector_for(config, model, class_names, ctx, first_label)

"""A config and a checkpoint -> a Detector; a checkpoint's weights -> a network."""

import logging
import os

import numpy as np
from mxnet import gluon

from detkit.build.data import build_transforms, pad_multiple_of
from detkit.build.model import build_model
from detkit.build.sections import opened
from detkit.build.train_step import check_scores
from detkit.config import Config, load_config
from detkit.detector import Detector
from detkit.device import find_device
from detkit.errors import CheckpointError
from detkit.files.checkpoint import CONFIG, load_checkpoint

log = logging.getLogger(__name__)


def load(config, checkpoint, device="auto"):
    """The Detector of a config (a path, or what load_config returned) and a checkpoint folder.

    device: "auto" (a GPU where MXNet has one), "cpu" or "gpu". Neither the dataset nor the files
    of pretrained weights are needed. Raises ConfigError and CheckpointError.
    """
    config = opened(config if isinstance(config, Config) else load_config(config))
    saved = load_checkpoint(checkpoint)
    ctx = find_device(device)
    model = build_model(config, saved.class_names, ctx, pretrained=False)
    check_scores(config, model)  # a config of before there was a choice has softmax
    load_model_weights(model, saved)
    return detector_for(config, model, saved.class_names, ctx)


def detector_for(config, model, class_names, ctx, first_label=0):
    """The Detector of a model: its images pass the config's ``data.val_transforms``.

    model: what build_model made of ``config`` in ``ctx``. The rest as of the Detector.
    """
    transforms, pad_multiple = build_transforms(config, "val"), pad_multiple_of(config)
    return Detector(model, class_names, transforms, ctx, pad_multiple, first_label, config)


def load_model_weights(model, checkpoint):
    """Put a checkpoint's weights into ``model``; CheckpointError lists what does not fit.

    Constants, the anchors and the normalisation, stay those of the config that ``model`` is built
    of; one line is logged where the checkpoint's are others.
    """
    constants, ours = _constants_and_weights(model, checkpoint)
    theirs = {name: array for name, array in checkpoint.weights.items() if name not in constants}
    faults = [f"{name}: not in the checkpoint" for name in ours if name not in theirs]
    faults += [f"{name}: not in the network" for name in theirs if name not in ours]
    faults += [
        f"{name}: {theirs[name].shape} in the checkpoint, {ours[name].shape} in the network"
        for name in ours
        if name in theirs and theirs[name].shape != ours[name].shape
    ]
    if faults:
        shown = "\n  ".join(faults[:8] + ["..."] * (len(faults) > 8))
        raise CheckpointError(
            f"{checkpoint.path}: the checkpoint is of another network than the config describes "
            f"({len(faults)} differences):\n  {shown}\n"
            f"Use the config it was trained with: {os.path.join(checkpoint.path, CONFIG)}"
        )
    for name, parameter in ours.items():
        parameter.set_data(theirs[name])


def start_from(model, checkpoint):
    """Put in those of a checkpoint's weights that fit, as of a detector of other classes.

    Constants stay those of the config, as in ``load_model_weights``. Returns the names of the
    weights of ``model`` that none is for: they stay as they are. Raises CheckpointError where one
    of the backbone's is among them: it is of another network.
    """
    (_, ours), theirs = _constants_and_weights(model, checkpoint), checkpoint.weights
    left = [n for n in ours if n not in theirs or theirs[n].shape != ours[n].shape]
    strange = [name for name in left if name.startswith("backbone.")]
    if strange:
        raise CheckpointError(
            f"{checkpoint.path}: {len(strange)} weights of the backbone are not in the checkpoint "
            f"or have another shape there, the first {strange[0]}; start from a checkpoint with "
            "the same backbone"
        )
    for name in set(ours) - set(left):
        ours[name].set_data(theirs[name])
    return left


def _constants_and_weights(model, checkpoint):
    """{name: parameter} of a model's constants, and of its weights."""
    named = model._collect_params_with_prefix()
    constants = {n: p for n, p in named.items() if isinstance(p, gluon.Constant)}
    others = [
        name
        for name, constant in constants.items()
        if name in checkpoint.weights
        and not np.array_equal(constant.data().asnumpy(), checkpoint.weights[name].asnumpy())
    ]
    if others:
        log.warning(
            "%s: the config's %s are used, which differ from the checkpoint's",
            checkpoint.path,
            ", ".join(others),
        )
    return constants, {name: p for name, p in named.items() if name not in constants}

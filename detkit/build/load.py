"""A config and a checkpoint -> a Detector; a checkpoint's weights -> a network."""

import logging
import os
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from mxnet import gluon
from mxnet.gluon import HybridBlock

from detkit.build.data import build_transforms, max_pixels_of, pad_multiple_of
from detkit.build.model import build_model, choose_operators
from detkit.build.sections import opened
from detkit.build.train_step import check_scores
from detkit.checkpoints import CONFIG, Checkpoint, load_checkpoint
from detkit.config import Config, load_config
from detkit.detector import Detector
from detkit.device import find_device
from detkit.errors import CheckpointError
from detkit.threshold import Threshold
from detkit.typing import Context

LISTED_FAULTS = 8

Parameters = Dict[str, gluon.Parameter]  # by structural name

log = logging.getLogger(__name__)


def load(
    config: Union[str, "os.PathLike[str]", Config],
    checkpoint: Union[str, "os.PathLike[str]"],
    device: str = "auto",
) -> Detector:
    """Returns the Detector of a config and a checkpoint.

    config: a path, or what load_config returned.
    checkpoint: the checkpoint's folder.
    device: "auto" (a GPU if MXNet has one), "cpu" or "gpu".

    Neither the dataset nor the files of pretrained weights are needed. Raises ConfigError and
    CheckpointError.
    """
    built_from = opened(config if isinstance(config, Config) else load_config(config))
    return _detector(built_from, load_checkpoint(os.fspath(checkpoint)), device)


def load_alone(checkpoint: Union[str, "os.PathLike[str]"], device: str = "auto") -> Detector:
    """Returns the Detector of a checkpoint and of the config in it; see ``load``."""
    saved = load_checkpoint(os.fspath(checkpoint))
    return _detector(opened(load_config(os.path.join(saved.path, CONFIG))), saved, device)


def _detector(config: Config, saved: Checkpoint, device: str) -> Detector:
    ctx = find_device(device)
    choose_operators(config, ctx)
    model = build_model(config, saved.class_names, ctx, pretrained=False)
    check_scores(config, model)  # an older config sets no scores and gets softmax
    load_model_weights(model, saved)
    return detector_for(config, model, saved.class_names, ctx, threshold=saved.threshold)


def detector_for(
    config: Config,
    model: HybridBlock,
    class_names: Sequence[str],
    ctx: Context,
    first_label: int = 0,
    threshold: Optional[Threshold] = None,
) -> Detector:
    """Returns the Detector of a model, with the config's ``data.val_transforms``.

    model: the network that build_model made of ``config`` in ``ctx``.
    class_names, first_label, threshold: see Detector.
    """
    transforms, pad_multiple = build_transforms(config, "val"), pad_multiple_of(config)
    return Detector(
        model,
        class_names,
        transforms,
        ctx,
        pad_multiple,
        first_label,
        config,
        max_pixels_of(config),
        threshold,
    )


def load_model_weights(model: HybridBlock, checkpoint: Checkpoint) -> None:
    """Puts a checkpoint's weights into ``model``.

    The constants (anchors and normalisation) stay those of the config that ``model`` was built
    from. One line is logged if the checkpoint has others.

    Raises CheckpointError, which lists the weights that do not fit.
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
        more = len(faults) > LISTED_FAULTS
        listed = "\n  ".join(faults[:LISTED_FAULTS] + ["..."] * more)
        raise CheckpointError(
            f"{checkpoint.path}: expected the network that the config describes, found another "
            f"({len(faults)} differences):\n  {listed}\n"
            f"Use the config it was trained with: {os.path.join(checkpoint.path, CONFIG)}"
        )
    for name, parameter in ours.items():
        parameter.set_data(theirs[name])


def start_from(
    model: HybridBlock, checkpoint: Checkpoint, parts: Optional[Sequence[str]] = None
) -> List[str]:
    """Puts the weights of a checkpoint that fit into ``model``, which may have other classes.

    parts: the parts of ``model`` whose weights are taken; None takes all that fit.

    Constants stay those of the config, as in ``load_model_weights``. Returns the names of the
    weights of ``model`` (of ``parts``) that stay as they are, because the checkpoint has none of
    the name and shape.

    Raises CheckpointError if a weight of the backbone is among them, or if the checkpoint lacks a
    weight of one of ``parts``, because the checkpoint then belongs to another network.
    """
    (_, ours), theirs = _constants_and_weights(model, checkpoint), checkpoint.weights
    if parts is not None:
        ours = {name: p for name, p in ours.items() if name.partition(".")[0] in parts}
    left = [n for n in ours if n not in theirs or theirs[n].shape != ours[n].shape]
    for part in ("backbone",) if parts is None else parts:
        of_part = [name for name in left if name.startswith(f"{part}.")]
        strange = [name for name in of_part if part == "backbone" or name not in theirs]
        if strange:
            raise CheckpointError(
                f"{checkpoint.path}: expected all weights of the {part} in their shapes, found "
                f"{len(strange)} missing or of another shape, the first {strange[0]}; start from a "
                f"checkpoint with the same {part}"
            )
    for name in set(ours) - set(left):
        ours[name].set_data(theirs[name])
    return left


def _constants_and_weights(
    model: HybridBlock, checkpoint: Checkpoint
) -> Tuple[Parameters, Parameters]:
    """Returns {name: parameter} of a model's constants and of its weights.

    Logs a line if the checkpoint has other constants.
    """
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

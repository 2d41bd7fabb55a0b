"""The ``train_step`` section of a config -> a training step, wired to the detector it trains."""

import inspect
from functools import partial
from typing import List

from mxnet.gluon import HybridBlock, nn

from detkit.config import check_keys, place, require, section
from detkit.errors import ConfigError
from detkit.losses import BINARY, CrossEntropy, RoILoss, SigmoidBCE, SigmoidFocal, compared_by
from detkit.models.postprocess import SIGMOID, SOFTMAX
from detkit.registry import DETECTORS, LOSSES, TRAIN_STEPS, Registry, construct

FITTING = {  # scores -> class losses that train logits for them
    SOFTMAX: CrossEntropy.__name__,
    SIGMOID: f"{SigmoidBCE.__name__} or {SigmoidFocal.__name__}",
}


def build_train_step(config, model, num_classes):
    """The training step of ``model``, hybridized. Raises ConfigError as ``check_scores`` does."""
    check_scores(config, model)
    step_class = train_step_of(type(model))
    node = section(config, "train_step")
    check_keys(node, step_class.PARTS)
    parts = {}
    for name, target in step_class.PARTS.items():
        derived = step_class.derived(name, model, parts, num_classes)
        if isinstance(target, list):
            parts[name] = _stages(target[0], require(node, name, List[dict]), derived)
        else:
            build = target.build if isinstance(target, Registry) else partial(construct, target)
            parts[name] = build(section(node, name), **derived)
    step = step_class(model, **parts)
    step.hybridize()
    return step


def train_step_of(detector):
    """The class that trains ``detector``: its own, or that of the class it derives from."""
    for ancestor in detector.__mro__:
        for name in TRAIN_STEPS.names():
            if name in DETECTORS.names() and DETECTORS.get(name) is ancestor:
                return TRAIN_STEPS.get(name)
    raise ConfigError(
        f"the detector {detector.__name__} has no training step: register one under its name in "
        f"TRAIN_STEPS, or derive it from one of {', '.join(TRAIN_STEPS.names())}"
    )


def check_scores(config, model):
    """Refuse a detector that is tested otherwise than its class loss trains it.

    config: with a section ``train_step``; without one there is nothing to compare. model: the
    detector of ``config``. A postprocessing that does not name its ``scores`` is not compared.

    Raises ConfigError with the places of the loss and of the scores.
    """
    scores = getattr(getattr(model, "postprocess", None), "scores", None)
    node = section(config, "train_step")
    if scores is None or not node:
        return
    for name, target in train_step_of(type(model)).PARTS.items():
        part = target[0] if isinstance(target, list) else target
        if inspect.isclass(part) and issubclass(part, RoILoss) and node.get(name) is not None:
            for loss in node[name] if isinstance(target, list) else [node[name]]:
                _compare(loss, scores, config["model"])


def _compare(node, scores, model):
    """``node``: the section of a RoILoss. ``model``: that of the detector."""
    loss = RoILoss.CLASS_LOSS
    if node.get("class") is not None:
        kind = require(node, "class", dict)
        loss = LOSSES.get(require(kind, "type"), place(kind, "type"))
    trained = SIGMOID if compared_by(loss) == BINARY else SOFTMAX
    if trained != scores:
        raise ConfigError(
            f"{place(section(model, 'postprocess'), 'scores')}: expected {trained!r}, found "
            f"{scores!r}, since {loss.__name__} ({place(node, 'class')}) trains the logits for "
            f"that; set model.postprocess.scores: {trained}, or train with {FITTING[scores]}"
        )


def _stages(target, nodes, derived):
    """One ``target`` for each stage of a cascade: of ``nodes``, a list of sections."""
    if len(nodes) != len(derived):
        raise ConfigError(
            f"{place(nodes)}: {len(nodes)} sections for {len(derived)} stages; expected one for "
            "each of model.roi_heads"
        )
    stages = nn.HybridSequential() if issubclass(target, HybridBlock) else nn.Sequential()
    stages.add(*(construct(target, own, **given) for own, given in zip(nodes, derived)))
    return stages

"""The ``train_step`` section of a config -> a training step, wired to the detector it trains."""

import inspect
from functools import partial
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Type

from mxnet.gluon import HybridBlock, nn

from detkit.build.regimes import EXACT, exact_step_of, regime_of
from detkit.config import Config, check_keys, place, require, section
from detkit.config.yaml import Node
from detkit.construct import construct
from detkit.errors import ConfigError
from detkit.losses import (
    BINARY,
    CrossEntropy,
    RoILoss,
    SigmoidBCE,
    SigmoidFocal,
    SoftmaxFocal,
    compared_by,
)
from detkit.models import Network
from detkit.models.postprocess import SIGMOID, SOFTMAX, SVM
from detkit.registry import DETECTORS, LOSSES, TRAIN_STEPS, Registry
from detkit.train_steps import TrainStep

FITTING = {  # scores -> class losses that train logits for them
    SOFTMAX: f"{CrossEntropy.__name__} or {SoftmaxFocal.__name__}",
    SIGMOID: f"{SigmoidBCE.__name__} or {SigmoidFocal.__name__}",
}


def build_train_step(config: Config, model: Network, num_classes: int) -> TrainStep:
    """Returns the training step of ``model``, hybridized.

    Raises ConfigError with the place, also for scores that its class loss does not train.
    """
    if scores_of(model) == SVM:
        _refuse_svms(config)
    check_scores(config, model)
    exact = regime_of(config) == EXACT
    step_class = exact_step_of(config, model) if exact else chosen_step(config, type(model))
    node = section(config, "train_step")
    check_keys(node, ("type", *step_class.PARTS))
    parts: Dict[str, Any] = {}
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


def chosen_step(config: Config, detector: Type[Network]) -> Type[TrainStep]:
    """Returns the class that ``train_step.type`` names; without it, that of ``train_step_of``.

    Raises ConfigError, with the place, for a name that is unknown or a step of another detector.
    """
    own, node = train_step_of(detector), section(config, "train_step")
    if node.get("type") is None:
        return own
    name, where = require(node, "type", str), place(node, "type")
    chosen: Any = TRAIN_STEPS.get(name, where)
    steps: Dict[Any, Any] = {known: TRAIN_STEPS.get(known) for known in TRAIN_STEPS.names()}
    fitting = [
        known
        for known, step in steps.items()
        if own in (step, steps.get(getattr(step, "VARIANT_OF", None)))
    ]
    if name not in fitting:
        raise ConfigError(
            f"{where}: expected a step that trains a {detector.__name__}, {' or '.join(fitting)}, "
            f"found {name!r}"
        )
    return chosen


def train_step_of(detector: Type[Network]) -> Type[TrainStep]:
    """Returns the class that trains ``detector``: its own, or the class of its nearest base.

    Raises ConfigError if there is none.
    """
    detectors = set(DETECTORS.names())
    steps = {DETECTORS.get(name): name for name in TRAIN_STEPS.names() if name in detectors}
    for ancestor in detector.__mro__:
        if ancestor in steps:
            step: Any = TRAIN_STEPS.get(steps[ancestor])
            return step
    raise ConfigError(
        f"model.type: expected a detector with a training step, found {detector.__name__!r}; "
        "register a step under its name in TRAIN_STEPS, or derive it from one of "
        f"{', '.join(TRAIN_STEPS.names())}"
    )


def check_scores(config: Config, model: Network) -> None:
    """Raises ConfigError if the class loss trains the logits for other scores than are computed.

    The message has the places of the loss and of the scores.

    config: its section ``train_step`` is compared, if there is one.
    model: the detector of ``config``. A postprocessing without an attribute ``scores`` is not
        compared.
    """
    scores = scores_of(model)
    node = section(config, "train_step")
    if scores is None or not node:
        return
    if scores == SVM:
        _refuse_svms(config)
    for name, target in chosen_step(config, type(model)).PARTS.items():
        part = target[0] if isinstance(target, list) else target
        if inspect.isclass(part) and issubclass(part, RoILoss) and node.get(name) is not None:
            for loss in node[name] if isinstance(target, list) else [node[name]]:
                _check_scores_of(loss, scores, config["model"])


def scores_of(model: Network) -> Optional[str]:
    """Returns ``scores`` of the postprocessing of a detector; None if it has none."""
    return getattr(getattr(model, "postprocess", None), "scores", None)


def _refuse_svms(config: Config) -> NoReturn:
    """Raises ConfigError because the class logits of an SVM are no loss's."""
    raise ConfigError(
        f"{place(section(config['model'], 'postprocess'), 'scores')}: expected {SOFTMAX!r} or "
        f"{SIGMOID!r} in a config with a training step, found {SVM!r}; detkit fit-svms fits SVMs "
        "to a trained checkpoint, and writes a config without a training step for them"
    )


def _check_scores_of(node: Node, scores: str, model: Node) -> None:
    """``node`` is the section of a RoILoss, ``model`` the section of the detector."""
    loss: Any = RoILoss.CLASS_LOSS
    if node.get("class") is not None:
        kind = require(node, "class", dict)
        loss = LOSSES.get(require(kind, "type"), place(kind, "type"))
    trained = SIGMOID if compared_by(loss) == BINARY else SOFTMAX
    if trained != scores:
        raise ConfigError(
            f"{place(section(model, 'postprocess'), 'scores')}: expected {trained!r}, for which "
            f"{loss.__name__} ({place(node, 'class')}) trains the logits, found {scores!r}; set "
            f"model.postprocess.scores: {trained}, or train with {FITTING[scores]}"
        )


def _stages(target: Any, nodes: Sequence[Node], derived: Sequence[dict]) -> nn.Sequential:
    """Returns one ``target`` for each stage of a cascade, built from ``nodes``, its sections."""
    if len(nodes) != len(derived):
        raise ConfigError(
            f"{place(nodes)}: expected {len(derived)} sections, one for each of model.roi_heads, "
            f"found {len(nodes)}"
        )
    stages = nn.HybridSequential() if issubclass(target, HybridBlock) else nn.Sequential()
    stages.add(*(construct(target, own, **given) for own, given in zip(nodes, derived)))
    return stages

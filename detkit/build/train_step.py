"""The ``train_step`` section of a config -> a training step, wired to the detector it trains."""

from typing import Any, Dict, List, Sequence, Type

from mxnet.gluon import HybridBlock, nn

from detkit.config import Config, check_keys, place, require, section, without
from detkit.config.yaml import Node
from detkit.errors import ConfigError
from detkit.models import Network
from detkit.registry import DETECTORS, TRAIN_STEPS, construct, signature
from detkit.train_steps import TrainStep

KEYS = {"class_loss": "class"}  # arguments whose key in a config is a reserved word of Python


def build_train_step(config: Config, model: Network, num_classes: int) -> TrainStep:
    """Returns the training step of ``model``, hybridized. Raises ConfigError."""
    step_class = train_step_of(type(model))
    node = section(config, "train_step")
    check_keys(node, step_class.PARTS)
    parts: Dict[str, Any] = {}
    for name, target in step_class.PARTS.items():
        derived = step_class.derived(name, model, parts, num_classes)
        if isinstance(target, list):
            parts[name] = _stages(target[0], require(node, name, List[dict]), derived)
        else:
            parts[name] = _built(target, section(node, name), derived)
    step = step_class(model, **parts)
    step.hybridize()
    return step


def train_step_of(detector: Type[Network]) -> Type[TrainStep]:
    """Returns the class that trains ``detector``: its own, or that of its nearest base class.

    Raises ConfigError if there is none.
    """
    detectors = set(DETECTORS.names())
    steps = {DETECTORS.get(name): name for name in TRAIN_STEPS.names() if name in detectors}
    for ancestor in detector.__mro__:
        if ancestor in steps:
            return TRAIN_STEPS.get(steps[ancestor])
    raise ConfigError(
        f"model.type: expected a detector with a training step, found {detector.__name__!r}; "
        "register a step under its name in TRAIN_STEPS, or derive it from one of "
        f"{', '.join(TRAIN_STEPS.names())}"
    )


def _stages(target: Any, nodes: Sequence[Node], derived: Sequence[dict]) -> nn.Sequential:
    """Returns one ``target`` for each stage of a cascade, built from ``nodes``, its sections."""
    if len(nodes) != len(derived):
        raise ConfigError(
            f"{place(nodes)}: expected {len(derived)} sections, one for each of model.roi_heads, "
            f"found {len(nodes)}"
        )
    stages = nn.HybridSequential() if issubclass(target, HybridBlock) else nn.Sequential()
    stages.add(*(_built(target, *stage) for stage in zip(nodes, derived)))
    return stages


def _built(target: Any, node: Node, derived: Dict[str, Any]) -> Any:
    """Returns ``target``, built from its section, its own parts and the derived arguments.

    derived: the arguments that follow from the detector.
    """
    accepted, _ = signature(target)
    inner = {}
    for argument, registry in getattr(target, "PARTS", {}).items():
        key = KEYS.get(argument, argument)
        if key in node:
            inner[argument] = registry.build(require(node, key, dict))
        elif accepted[argument].default is None:
            inner[argument] = None
    rest = without(node, *(KEYS.get(argument, argument) for argument in inner))
    return construct(target, rest, **inner, **derived)

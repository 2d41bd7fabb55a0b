"""The ``train_step`` section of a config -> a training step, wired to the detector it trains."""

from typing import List

from mxnet.gluon import HybridBlock, nn

from detkit import train_steps  # noqa: F401  (they register themselves)
from detkit.config import check_keys, place, require, section, without
from detkit.errors import ConfigError
from detkit.registry import ASSIGNERS, DETECTORS, LOSSES, SAMPLERS, TRAIN_STEPS, construct


def build_train_step(config, model, num_classes):
    """The training step of ``model``, hybridized."""
    step_class = train_step_of(type(model))
    node = section(config, "train_step")
    check_keys(node, step_class.PARTS)
    step = step_class(model, **_Wiring(node, step_class, model, num_classes).parts)
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


class _Wiring:
    """The parts of a training step, made in their order."""

    def __init__(self, node, step_class, model, num_classes):
        self._node, self._model, self._num_classes = node, model, num_classes
        self.parts = {}
        for name, target in step_class.PARTS.items():
            self.parts[name] = self._part(name, target)

    def _part(self, name, target):
        if not isinstance(target, list):
            return self._built(name, target, section(self._node, name), self._box_weights(name))
        nodes, (target,) = require(self._node, name, List[dict]), target
        weights = self._model.stage_weights  # of a cascade
        if len(nodes) != len(weights):
            raise ConfigError(
                f"{place(self._node, name)}: {len(nodes)} sections for {len(weights)} stages; "
                "expected one for each of model.roi_heads"
            )
        stages = nn.HybridSequential() if issubclass(target, HybridBlock) else nn.Sequential()
        stages.add(*(self._built(name, target, *stage) for stage in zip(nodes, weights)))
        return stages

    def _box_weights(self, name):
        """Those that the part which decodes the boxes in testing has."""
        decoding = (
            "proposals" if name in ("rpn_targets", "proposals", "rpn_loss") else "postprocess"
        )
        return getattr(self._model, decoding).box_weights

    def _built(self, name, target, node, box_weights):
        """``target`` built of its section and of what follows from the detector."""
        if name == "proposals":
            return construct(target, node, box_weights=box_weights)
        if name == "mask_targets":
            stages = self.parts["roi_targets"]
            sampler = (stages[0] if isinstance(stages, nn.Sequential) else stages).sample.sampler
            rois = getattr(sampler, "max_positive", sampler.size)
            return construct(target, node, size=self._model.mask_head.size, rois=rois)
        if name == "mask_loss":
            return construct(target, node)
        if name.endswith("_targets"):
            return self._targets(name, target, node, box_weights)
        return self._loss(name, target, node, box_weights)

    def _targets(self, name, target, node, box_weights):
        assigner = ASSIGNERS.build(require(node, "assigner", dict))
        sampler = SAMPLERS.build(require(node, "sampler", dict))
        derived = {"assigner": assigner, "sampler": sampler, "box_weights": box_weights}
        if name == "roi_targets":
            derived["size"] = sampler.size
        return construct(target, without(node, "assigner", "sampler"), **derived)

    def _loss(self, name, target, node, box_weights):
        class_loss = LOSSES.build(require(node, "class", dict)) if "class" in node else None
        box = LOSSES.build(require(node, "box", dict))
        derived = {"box": box, "class_loss": class_loss, "box_weights": box_weights}
        if name not in ("rpn_loss", "dense_loss"):
            derived["num_classes"] = self._num_classes
        return construct(target, without(node, "box", "class"), **derived)

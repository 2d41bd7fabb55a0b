"""Frozen parts of a detector: for a whole run, or until an epoch or a step of it."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from mxnet import gluon
from mxnet.gluon import Block, nn

from detkit.checkpoints import Progress
from detkit.config import place, unknown_key
from detkit.config.types import shown
from detkit.errors import ConfigError
from detkit.models import Network
from detkit.models.norms import freeze
from detkit.runner.hooks import Hook
from detkit.runner.intervals import Interval, read_interval
from detkit.runner.log import RunLog
from detkit.runner.loop import Runner
from detkit.wording import did_you_mean


class Freezing:
    """The parts of a detector that are not trained, for the whole run or its beginning.

    A frozen part gets no gradient, no update and no weight decay, and its batch norms use and keep
    their running statistics. MXNet computes no gradient of a part if neither the part nor any part
    before it is trained. A part that is frozen for some epochs or steps is trained from the first
    update of the weights that begins after them.

    model: the detector, whose optimizer exists already.
    parts: ``train.freeze``: a list of parts, or a mapping {part: an interval of read_interval, or
        None for the whole run}, or None.
    accumulate: the number of steps of an update. per_epoch: the number of batches of an epoch.

    The parts that are frozen at first are so as soon as the object is made.

    Raises ConfigError for an unknown part, for an interval that is none, and if no weight is left
    to train.
    """

    def __init__(
        self,
        model: Network,
        parts: Union[Sequence[str], Dict[str, Any], None],
        accumulate: int = 1,
        per_epoch: int = 1,
    ) -> None:
        self._model, self._accumulate, self._per_epoch = model, accumulate, per_epoch
        parts = parts or ()
        self._until = _intervals(model, parts)
        _check_rest(model, parts, self._until)
        self._frozen: Dict[str, _FrozenPart] = {}
        self.before_step(Progress())

    def __bool__(self) -> bool:
        return bool(self._until)

    def __str__(self) -> str:
        """Returns the parts in words: 'backbone for the whole run, rpn_head for 2 epochs'."""
        return ", ".join(f"{part} for {_words(until)}" for part, until in self._until.items())

    @property
    def weights(self) -> List[gluon.Parameter]:
        """The weights of the parts that are frozen now."""
        of_parts = self._model.weights_of_parts()
        return [weight for part in self._frozen for weight in of_parts[part].values()]

    def before_step(self, progress: Progress) -> List[str]:
        """Freezes and releases parts for the step after ``progress``; returns the released ones."""
        # All steps of an update train the same weights, so that its gradient is a mean over them.
        return self._apply(self._earlier(progress, progress.step % self._accumulate))

    def resume(self, progress: Progress) -> None:
        """Freezes and releases parts as they were in the step that led to ``progress``."""
        self.before_step(self._earlier(progress, min(progress.step, 1)))

    def _earlier(self, progress: Progress, steps: int) -> Progress:
        batches = progress.epoch * self._per_epoch + progress.batch - steps
        return Progress(progress.step - steps, *divmod(batches, self._per_epoch))

    def _apply(self, progress: Progress) -> List[str]:
        due = [
            name for name, until in self._until.items() if not (until and until.reached(progress))
        ]
        released = [name for name in self._frozen if name not in due]
        added = [name for name in due if name not in self._frozen]
        for name in released:
            self._frozen.pop(name).release()
        for name in added:
            self._frozen[name] = _FrozenPart(getattr(self._model, name))
        if released or added:
            self._model.hybridize()  # compiled graphs have the norms as they were
        return released


class FreezeHook(Hook):
    """The hook that releases parts when their time has come, and says so."""

    def __init__(self, log: RunLog, freezing: Freezing):
        self._log, self._freezing = log, freezing

    def before_step(self, run: Runner) -> None:
        """Applies the freezing of the step."""
        released = self._freezing.before_step(run.progress)
        if released:
            self._log.write("released", epoch=run.epoch, step=run.progress.step, parts=released)
            verb = "are" if len(released) > 1 else "is"
            self._log.say(
                f"epoch {run.epoch:.2f} step {run.progress.step}: {' and '.join(released)} {verb} "
                "trained from here on"
            )


class _FrozenPart:
    """A block that is frozen until ``release``, which makes it what it was before."""

    def __init__(self, block: Block) -> None:
        self._requests = [(p, p.grad_req) for p in block.collect_params().values()]
        self._norms: List[Tuple[nn.BatchNorm, bool]] = []
        block.apply(self._remember)
        freeze(block)

    def _remember(self, child: Block) -> None:
        if isinstance(child, nn.BatchNorm):
            self._norms.append((child, child._kwargs["use_global_stats"]))

    def release(self) -> None:
        for parameter, request in self._requests:
            if request != "null":  # a constant refuses every assignment
                parameter.grad_req = request
        for norm, uses_statistics in self._norms:
            norm._kwargs["use_global_stats"] = uses_statistics


def _intervals(
    model: Network, parts: Union[Sequence[str], Dict[str, Any]]
) -> Dict[str, Optional[Interval]]:
    """Returns {part: the Interval for which it is frozen, or None}, checked."""
    known = model.weights_of_parts()
    if isinstance(parts, dict):
        for part in parts:
            if part not in known:
                raise ConfigError(unknown_key(parts, part, known))
        return {part: _interval(parts, part) for part in parts}
    for index, part in enumerate(parts):
        if part not in known:
            raise ConfigError(
                f"{place(parts, index)}: expected a part with weights, one of {', '.join(known)}, "
                f"found {part!r}{did_you_mean(part, known)}"
            )
    return dict.fromkeys(parts)


def _interval(parts: Dict[str, Any], part: str) -> Optional[Interval]:
    value = parts[part]
    if value is None:
        return None
    if not isinstance(value, dict) and (type(value) is not int or value < 1):
        raise ConfigError(
            f"{place(parts, part)}: expected a number of epochs from 1 on, {{epochs: N}}, "
            f"{{steps: N}}, or null for the whole run, found {shown(value)}"
        )
    return read_interval(value)


def _check_rest(model: Network, node: Any, frozen: Dict[str, Optional[Interval]]) -> None:
    trained = [
        part
        for part, weights in model.weights_of_parts().items()
        if any(weight.grad_req != "null" for weight in weights.values())
    ]
    if set(trained) <= set(frozen):
        raise ConfigError(
            f"{place(node)}: expected a part that is trained from the first step on, found that "
            f"all are frozen; leave out one of {', '.join(trained) or 'none'}"
        )


def _words(until: Optional[Interval]) -> str:
    if until is None:
        return "the whole run"
    count, unit = (until.steps, "step") if until.steps else (until.epochs, "epoch")
    return f"{count} {unit}{'s' * (count != 1)}"

"""Schedules: the factor of the learning rate over a run."""

import math
from typing import NamedTuple, Optional, Sequence, Union

from detkit.registry import SCHEDULES, construct
from detkit.runner.intervals import check_one_unit


class Position(NamedTuple):
    """The place in a run for which a schedule gives its factor.

    step: the number of training steps that were made; update: how often the weights were updated.
    epoch: the number of epochs, with the part of the one under way.
    share: the part of the whole run that was made, 0 to 1.
    """

    step: int
    update: int
    epoch: float
    share: float


class _Warmup:
    """A linear rise from ``warmup_factor`` to 1 over the first ``warmup_steps`` updates."""

    def __init__(self, warmup_steps, warmup_factor):
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps is at least 0, not {warmup_steps}")
        if not 0 < warmup_factor <= 1:
            raise ValueError(f"warmup_factor is above 0 and at most 1, not {warmup_factor}")
        self._steps, self._factor = warmup_steps, warmup_factor

    def __call__(self, update):
        if update >= self._steps:
            return 1.0
        return self._factor + (1 - self._factor) * update / self._steps


class Drops:
    """The places at which a learning rate drops: all of them steps, or all of them epochs."""

    def __init__(
        self, steps: Optional[Sequence[int]] = None, epochs: Optional[Sequence[float]] = None
    ):
        check_one_unit(steps, epochs)
        unit, places = ("steps", steps) if epochs is None else ("epochs", epochs)
        if not all(place >= 0 for place in places):
            raise ValueError(f"drops are {unit}, numbers from 0 on, not {list(places)}")
        self._in_steps, self._places = epochs is None, tuple(places)

    def passed(self, position):
        """How many of the drops lie before a Position, or at it."""
        here = position.step if self._in_steps else position.epoch
        return sum(here >= place for place in self._places)


@SCHEDULES.register()
class StepSchedule:
    """The factor is multiplied by ``factor`` at each of the ``drops`` (Girshick 2015).

    drops: a list of epochs, fractions allowed: 3 drops before the fourth epoch. The same as
        ``{epochs: [...]}``; ``{steps: [...]}`` is a list of training steps.
    warmup_steps, warmup_factor: a linear rise from warmup_factor to 1 over the first updates.
    """

    def __init__(
        self,
        drops: Union[Sequence[float], dict] = (),
        factor: float = 0.1,
        warmup_steps: int = 0,
        warmup_factor: float = 0.001,
    ):
        is_mapping = isinstance(drops, dict)
        self._drops = construct(Drops, drops) if is_mapping else Drops(epochs=drops)
        if not 0 < factor <= 1:
            raise ValueError(f"factor is above 0 and at most 1, not {factor}")
        self._factor = factor
        self._warmup = _Warmup(warmup_steps, warmup_factor)

    def __call__(self, position):
        """The factor at a Position."""
        return self._warmup(position.update) * self._factor ** self._drops.passed(position)


@SCHEDULES.register()
class CosineSchedule:
    """Half a cosine from 1 to ``floor`` over the whole run (Loshchilov and Hutter 2016).

    warmup_steps, warmup_factor: a linear rise from warmup_factor to 1 over the first updates.
    """

    def __init__(self, floor: float = 0.0, warmup_steps: int = 0, warmup_factor: float = 0.001):
        if not 0 <= floor <= 1:
            raise ValueError(f"floor is a part of the learning rate, 0 to 1, not {floor}")
        self._floor = floor
        self._warmup = _Warmup(warmup_steps, warmup_factor)

    def __call__(self, position):
        """The factor at a Position."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(position.share, 1)))
        return self._warmup(position.update) * (self._floor + (1 - self._floor) * cosine)

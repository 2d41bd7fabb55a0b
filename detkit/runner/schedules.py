"""Schedules: the factor of the learning rate over a run."""

import math
from typing import Sequence

from detkit.registry import SCHEDULES


class _Warmup:
    """A linear rise from ``warmup_factor`` to 1 over the first ``warmup_steps`` updates."""

    def __init__(self, warmup_steps, warmup_factor):
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps is at least 0, not {warmup_steps}")
        if not 0 < warmup_factor <= 1:
            raise ValueError(f"warmup_factor is above 0 and at most 1, not {warmup_factor}")
        self._steps, self._factor = warmup_steps, warmup_factor

    def __call__(self, step):
        if step >= self._steps:
            return 1.0
        return self._factor + (1 - self._factor) * step / self._steps


@SCHEDULES.register()
class StepSchedule:
    """Multiplied by ``factor`` after each of the epochs ``drops`` (Girshick 2015).

    drops: epochs, fractions allowed: 3 drops before the fourth epoch.
    warmup_steps, warmup_factor: a linear rise from warmup_factor to 1 at the start.
    """

    def __init__(
        self,
        drops: Sequence[float] = (),
        factor: float = 0.1,
        warmup_steps: int = 0,
        warmup_factor: float = 0.001,
    ):
        if not all(drop >= 0 for drop in drops):
            raise ValueError(f"drops are epochs, numbers from 0 on, not {list(drops)}")
        if not 0 < factor <= 1:
            raise ValueError(f"factor is above 0 and at most 1, not {factor}")
        self._drops, self._factor = tuple(drops), factor
        self._warmup = _Warmup(warmup_steps, warmup_factor)

    def __call__(self, step, epoch, epochs):
        """The factor at update ``step``, at the (fractional) ``epoch`` of ``epochs``."""
        passed = sum(epoch >= drop for drop in self._drops)
        return self._warmup(step) * self._factor**passed


@SCHEDULES.register()
class CosineSchedule:
    """Half a cosine from 1 to ``floor`` over the whole run (Loshchilov and Hutter 2016).

    warmup_steps, warmup_factor: a linear rise from warmup_factor to 1 at the start.
    """

    def __init__(self, floor: float = 0.0, warmup_steps: int = 0, warmup_factor: float = 0.001):
        if not 0 <= floor <= 1:
            raise ValueError(f"floor is a part of the learning rate, 0 to 1, not {floor}")
        self._floor = floor
        self._warmup = _Warmup(warmup_steps, warmup_factor)

    def __call__(self, step, epoch, epochs):
        """The factor at update ``step``, at the (fractional) ``epoch`` of ``epochs``."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1)))
        return self._warmup(step) * (self._floor + (1 - self._floor) * cosine)

"""Schedules: the factor of the learning rate over a run."""

import math
from typing import NamedTuple, Optional, Sequence, Union

from detkit.construct import construct
from detkit.registry import SCHEDULES


class Position(NamedTuple):
    """The place in a run for which a schedule gives its factor.

    step: the number of training steps that were made.
    update_start: the value of ``step`` when the current update of the weights began to accumulate
        gradients; equal to ``step`` unless ``train.accumulate`` is above 1.
    epoch: the number of epochs that were made, a fraction within an epoch.
    share: the part of the whole run that was made, in [0, 1].
    """

    step: int
    update_start: int
    epoch: float
    share: float


class _Warmup:
    """A linear rise from ``warmup_factor`` to 1 over the first ``warmup_steps`` training steps.

    All steps of one update have the factor of the first, so that N times as many steps with
    ``train.accumulate: N`` give every update the same factor.
    """

    def __init__(self, warmup_steps: int, warmup_factor: float):
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps: expected at least 0, found {warmup_steps}")
        if not 0 < warmup_factor <= 1:
            raise ValueError(
                f"warmup_factor: expected a number above 0, at most 1, found {warmup_factor}"
            )
        self._steps, self._factor = warmup_steps, warmup_factor

    def __call__(self, position: Position) -> float:
        if position.update_start >= self._steps:
            return 1.0
        return self._factor + (1 - self._factor) * position.update_start / self._steps


class Drops:
    """The places at which a learning rate drops: in training steps, epochs, or shares of the run.

    Raises ValueError unless exactly one list is given and its numbers are at least 0.
    """

    def __init__(
        self,
        steps: Optional[Sequence[int]] = None,
        epochs: Optional[Sequence[float]] = None,
        shares: Optional[Sequence[float]] = None,
    ):
        lists = {"steps": steps, "epochs": epochs, "shares": shares}
        given = {unit: places for unit, places in lists.items() if places is not None}
        if len(given) != 1:
            found = " and ".join(given) or "neither"
            raise ValueError(f"expected either steps, epochs or shares, found {found}")
        ((unit, self._places),) = given.items()
        most, limit = (1, "in [0, 1]") if unit == "shares" else (math.inf, "of at least 0")
        if not all(0 <= place <= most for place in self._places):
            raise ValueError(f"drops: expected {unit} {limit}, found {list(self._places)}")
        self._field = unit[:-1]  # of a Position

    def passed(self, position: Position) -> int:
        """Returns the number of drops at or before a Position."""
        return sum(getattr(position, self._field) >= place for place in self._places)


@SCHEDULES.register()
class StepSchedule:
    """A factor that is multiplied by ``factor`` at each of the ``drops`` (Girshick 2015).

    drops: a list of epochs, which may be fractions: 3 drops before the fourth epoch. The same as
        ``{epochs: [...]}``; ``{steps: [...]}`` is a list of training steps, and ``{shares: [...]}``
        a list of numbers in [0, 1], parts of the whole run, however long it is.
    warmup_steps, warmup_factor: a linear rise from warmup_factor to 1 over the first warmup_steps
        training steps.
    """

    def __init__(
        self,
        drops: Union[Sequence[float], dict] = (),
        factor: float = 0.1,
        warmup_steps: int = 0,
        warmup_factor: float = 0.001,
    ):
        self._drops: Drops = (
            construct(Drops, drops) if isinstance(drops, dict) else Drops(epochs=drops)
        )
        if not 0 < factor <= 1:
            raise ValueError(f"factor: expected a number above 0, at most 1, found {factor}")
        self._factor = factor
        self._warmup = _Warmup(warmup_steps, warmup_factor)

    def __call__(self, position: Position) -> float:
        """Returns the factor at a Position."""
        return self._warmup(position) * self._factor ** self._drops.passed(position)


@SCHEDULES.register()
class CosineSchedule:
    """Half a cosine from 1 to ``floor`` over the whole run (Loshchilov and Hutter 2016).

    floor: the factor at the end of the run, in [0, 1].
    warmup_steps, warmup_factor: a linear rise from warmup_factor to 1 over the first warmup_steps
        training steps.
    """

    def __init__(self, floor: float = 0.0, warmup_steps: int = 0, warmup_factor: float = 0.001):
        if not 0 <= floor <= 1:
            raise ValueError(f"floor: expected a share of the learning rate, 0 to 1, found {floor}")
        self._floor = floor
        self._warmup = _Warmup(warmup_steps, warmup_factor)

    def __call__(self, position: Position) -> float:
        """Returns the factor at a Position."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(position.share, 1)))
        return self._warmup(position) * (self._floor + (1 - self._floor) * cosine)

"""A run whose length is a time: it ends, with its final evaluation, when the time is over."""

import re
import time
from typing import Optional, Union

from detkit.checkpoints import Progress, Spent
from detkit.runner.intervals import Interval
from detkit.runner.stopwatch import Clock, Stopwatch

_DURATION = re.compile(r"(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?")
_SECONDS = (3600, 60, 1)  # of an hour, a minute and a second


def read_duration(text: str) -> float:
    """Returns the seconds of a duration: '45m', '1.5h', '90s', '1h30m'. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    try:
        parts = [float(part or 0) for part in match.groups()] if match else []
    except ValueError:  # two points in a number
        parts = []
    seconds = sum(part * unit for part, unit in zip(parts, _SECONDS))
    if not 0 < seconds < float("inf"):
        raise ValueError(f"expected a duration such as '45m', '1.5h' or '1h30m', found {text!r}")
    return seconds


class TimeBudget:
    """The length of a run that ends when its time is over; it is used as an Interval is.

    The time includes data, evaluations and checkpoints. The clock is read before each step. A step
    is the last of the run if the time after it would be too short for another one and the final
    evaluation. They are expected to take as long as the steps and the evaluation before.

    seconds: the time. most: the Interval after which the run ends even if there is time left; None
    if the time alone ends it.

    watch: the Stopwatch of the run.
    """

    epochs = None  # nobody knows how many there will be

    def __init__(
        self, seconds: float, most: Optional[Interval] = None, clock: Clock = time.monotonic
    ):
        self.seconds, self.most, self.watch = seconds, most, Stopwatch(clock)
        self._step, self._share = 0, 0.0  # at the last reading of the clock
        self._last: Optional[int] = None  # the number of steps of the run, once it is known

    def start(self, step: int) -> None:
        """Starts the watch of a process that begins after ``step`` steps of the run."""
        self.watch.start()
        if self._time_left() <= 0:
            self._last = step

    def read(self, step: int) -> None:
        """Reads the clock before a training step, after ``step`` steps of the run."""
        elapsed = self.watch.step_begins()
        left = self._time_left()
        self._step, self._share = step, elapsed / (elapsed + max(left, 0)) if elapsed else 0.0
        if left <= 0 or left < 2 * self.watch.step:
            self._last = step + 1

    def spent(self, progress: Progress, evaluated: bool) -> Spent:
        """Returns what a checkpoint keeps: a run that has ended has spent all of its time.

        evaluated: see Stopwatch.spent.
        """
        spent = self.watch.spent(evaluated)
        least = self.seconds if self._is_over(progress) else 0.0
        return spent._replace(seconds=max(spent.seconds, least))

    def has_time_to_evaluate(self) -> bool:
        """Returns whether the time is long enough for an evaluation before the final one."""
        return self._time_left() >= (self.watch.evaluation or 0.0) + 2 * self.watch.step

    def reached(self, progress: Progress) -> bool:
        """Returns whether the run has ended."""
        return self._is_over(progress) or (self.most is not None and self.most.reached(progress))

    def is_due(self, progress: Progress) -> bool:
        """Returns whether the end of the run, which is evaluated, has just come."""
        return self._is_over(progress) or (self.most is not None and self.most.is_due(progress))

    def is_last_step(self, progress: Progress, steps_per_epoch: int) -> bool:
        """Returns whether the step that led to ``progress`` is the last."""
        if self.most is not None and self.most.is_last_step(progress, steps_per_epoch):
            return True
        return self._is_over(progress)

    def share(self, step: int, epoch: float) -> float:
        """Returns the part of the run that was made at the last reading, in [0, 1].

        It is the part of the time before the final evaluation, or that of ``most`` if it is larger.
        """
        of_most = 0.0 if self.most is None else self.most.share(step, epoch)
        return max(self._share, of_most)

    def total_steps(self, steps_per_epoch: int) -> Optional[int]:
        """Returns about how many steps the run will have at its pace; None if it is not known."""
        if self._last is not None:
            return self._last
        bounds = [] if self.most is None else [self.most.total_steps(steps_per_epoch)]
        if self._step and self._share > 0:
            bounds.append(round(self._step / self._share))
        return min(bounds, default=None)

    def _time_left(self) -> float:
        """Returns the seconds that are left for training."""
        return self.seconds - (self.watch.evaluation or 0.0) - self.watch.elapsed

    def _is_over(self, progress: Progress) -> bool:
        return self._last is not None and progress.step >= self._last


class WhileTimeIsLeft:
    """An Interval between evaluations, of which those are left out that would take too long."""

    def __init__(self, every: Interval, budget: TimeBudget):
        self._every, self._budget = every, budget

    def is_due(self, progress: Progress) -> bool:
        """Returns whether an evaluation is due, and the final one can be made after it in time."""
        return self._every.is_due(progress) and self._budget.has_time_to_evaluate()


Length = Union[Interval, TimeBudget]

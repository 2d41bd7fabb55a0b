"""The time that a run takes, over all its processes."""

import time
from typing import Callable, Optional

from detkit.checkpoints import Spent

Clock = Callable[[], float]  # returns seconds, as time.monotonic does
NEW = 0.1  # the share of the last step in the mean


class Stopwatch:
    """The time that a run has taken, and how long a step and an evaluation take.

    The time between a process that was stopped and the one that continues the run does not count.

    step: the seconds of a step, a mean in which later steps count more; 0 if none was measured.
    evaluation: the seconds of the last evaluation; None if none was measured.
    """

    def __init__(self, clock: Clock = time.monotonic):
        self.clock = clock
        self.step = 0.0
        self.evaluation: Optional[float] = None
        self._before = 0.0  # the seconds of earlier processes
        self._began: Optional[float] = None  # what the clock showed when this process began
        # When the step and the evaluation under way began, in seconds of the run.
        self._step_began: Optional[float] = None
        self._evaluation_began: Optional[float] = None
        self._first = True  # whether this process has begun no step

    @property
    def elapsed(self) -> float:
        """The seconds of the run so far."""
        return self._before + (0.0 if self._began is None else self.clock() - self._began)

    def restore(self, spent: Spent) -> None:
        """Continues with what a checkpoint has kept."""
        self._before, self.evaluation, self.step = spent

    def start(self) -> None:
        """Begins to count the time of this process."""
        self._began = self.clock()

    def step_begins(self) -> float:
        """Notes the end of the last step, or of the evaluation after it; returns ``elapsed``."""
        now = self.elapsed
        if self._evaluation_began is not None:
            self.evaluation = now - self._evaluation_began
        elif self._step_began is not None:
            latest = now - self._step_began
            self.step += NEW * (latest - self.step) if self.step else latest
        # The first step of a process also compiles, and is no measure of the others.
        self._step_began = None if self._first else now
        self._first, self._evaluation_began = False, None
        return now

    def evaluation_begins(self) -> None:
        """Notes that an evaluation begins, which ends with the next step."""
        self._evaluation_began = self.elapsed

    def spent(self, evaluated: bool) -> Spent:
        """Returns what a checkpoint keeps.

        evaluated: whether an evaluation that is under way has only to be saved. Otherwise it was
            stopped, and is no measure of the others.
        """
        now, evaluation = self.elapsed, self.evaluation
        if evaluated and self._evaluation_began is not None:
            evaluation = now - self._evaluation_began
        return Spent(now, evaluation, self.step)

"""The hooks of a run: the moments at which they are called, and those that steer the run.

``report_hooks.py`` has the hooks that show the run to the user, ``result_hooks.py`` the hooks that
evaluate and save it. Their order is fixed: schedule, freeze (``freezing.py``), log, evaluate,
checkpoint, visualise, the hooks of plugins, stop.
"""

from typing import Callable

from detkit.runner.loop import Runner
from detkit.runner.schedules import Position


class Hook:
    """The moments of a run; a hook overrides the methods it needs. ``run`` is the Runner.

    An evaluation that is due comes before ``after_step`` and ``after_epoch``, which therefore see
    its metrics and detections.

    A hook that reads weights, for example by ``asnumpy``, must call ``mx.nd.waitall`` first. MXNet
    may otherwise reorder them meanwhile, which gives wrong numbers or ends the process.
    """

    def start(self, run: Runner) -> None:
        """Is called before the first step."""

    def before_step(self, run: Runner) -> None:
        """Is called before each step."""

    def evaluate(self, run: Runner) -> None:
        """Is called when an evaluation is due.

        A plugin's hook is called after the evaluation, when ``metrics`` and ``detections`` are set.
        """

    def after_step(self, run: Runner) -> None:
        """Is called after each step; it must not wait for the device except at a log interval."""

    def after_epoch(self, run: Runner) -> None:
        """Is called after the last step of each epoch."""

    def finish(self, run: Runner) -> None:
        """Is called after the last step of the run, also if the run stops early."""

    def rescue(self, run: Runner) -> None:
        """Is called after an error that ends the run, if the last step is complete.

        The error is raised afterwards. ``finish`` is not called.
        """


class ScheduleHook(Hook):
    """The hook that sets the learning rate of each step.

    lr: ``train.lr``. schedule: a function from a Position to a factor. accumulate: the number of
    steps of an update.
    """

    def __init__(self, lr: float, schedule: Callable[[Position], float], accumulate: int):
        self._lr, self._schedule, self._accumulate = lr, schedule, accumulate

    def before_step(self, run: Runner) -> None:
        """Sets ``lr`` to train.lr times the schedule's factor."""
        step = run.progress.step
        update_start = step - step % self._accumulate
        run.lr = self._lr * self._schedule(Position(step, update_start, run.epoch, run.share))


class StopHook(Hook):
    """The hook that ends the run after the step or evaluation in which a signal came."""

    def evaluate(self, run: Runner) -> None:
        """Sets ``stopping``, unless a plugin's hook has set it before."""
        run.stopping = run.stopping or run.interrupt.signal is not None

    def after_step(self, run: Runner) -> None:
        """Does the same as after an evaluation."""
        self.evaluate(run)

"""The hooks of a run: the moments at which they are called, and those that steer the run.

``report_hooks.py`` has the hooks that show the run to the user, ``result_hooks.py`` the hooks that
evaluate and save it. Their order is fixed: time, schedule, freeze (``freezing.py``), log, evaluate,
checkpoint, visualise, curves (``curves.py``), the hooks of the config, patience, stop.
"""

from typing import Callable

from detkit.errors import ConfigError
from detkit.runner.log import RunLog
from detkit.runner.loop import Runner
from detkit.runner.schedules import Position
from detkit.runner.stopwatch import Clock
from detkit.runner.time_budget import TimeBudget


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

    def close(self, run: Runner) -> None:
        """Is called last, in whatever way the run ends: to close what ``start`` has opened."""


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


class TimeHook(Hook):
    """The hook that reads the clock of a run whose length is a TimeBudget.

    estimate: a function of a clock that measures about how long an evaluation takes.
    """

    def __init__(self, budget: TimeBudget, estimate: Callable[[Clock], float]):
        self._budget, self._watch, self._estimate = budget, budget.watch, estimate

    def start(self, run: Runner) -> None:
        """Starts the watch. Raises ConfigError if the final evaluation alone takes too long."""
        self._budget.start(run.progress.step)
        if self._watch.evaluation is not None or run.finished:
            return
        seconds = self._watch.evaluation = self._estimate(self._watch.clock)
        if seconds >= self._budget.seconds:
            raise ConfigError(
                f"train.time: expected more than an evaluation takes, about {seconds:.0f} s, found "
                f"{self._budget.seconds:.0f} s; allow more time, or evaluate fewer images"
            )

    def before_step(self, run: Runner) -> None:
        """Waits for the losses of the last step, and reads the clock.

        Without waiting, the clock would show how fast Python runs ahead of the device.
        """
        run.losses.wait()
        self._budget.read(run.progress.step)

    def evaluate(self, run: Runner) -> None:
        """Notes that an evaluation begins."""
        self._watch.evaluation_begins()


class PatienceHook(Hook):
    """The hook that ends a run whose main metric has stopped rising.

    patience: the number of evaluations without a better main metric after which the run ends.
    """

    def __init__(self, log: RunLog, patience: int):
        self._log, self._patience = log, patience

    def start(self, run: Runner) -> None:
        """Ends a resumed run that ended for this reason before."""
        self.evaluate(run)

    def evaluate(self, run: Runner) -> None:
        """Sets ``stopping`` and says why, unless the run ends here anyway."""
        if run.stale < self._patience or run.length.reached(run.progress):
            return
        run.stopping = True
        step, best = run.progress.step, run.best
        self._log.write("early_stop", epoch=run.epoch, step=step, stale=run.stale, best=best)
        self._log.say(
            f"step {step}: the run ends, because {run.stale} evaluations brought no better main "
            f"metric than {best}; --resume auto with a larger train.patience continues it"
        )


class StopHook(Hook):
    """The hook that ends the run after the step or evaluation in which a signal came."""

    def evaluate(self, run: Runner) -> None:
        """Sets ``stopping``, unless a plugin's hook has set it before."""
        run.stopping = run.stopping or run.interrupt.signal is not None

    def after_step(self, run: Runner) -> None:
        """Does the same as after an evaluation."""
        self.evaluate(run)

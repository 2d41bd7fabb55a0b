"""What happens around the steps of a run.

The order of the hooks is fixed: schedule, log, evaluate, checkpoint, visualise, the hooks of
plugins, stop.
"""

import datetime
import math
import os
import resource
import shutil
import time

from detkit.detections.draw import contact_sheet, draw_detections, save_image
from detkit.detections.of_dataset import detect_dataset
from detkit.files.checkpoint import check_finite, find_checkpoints, save_checkpoint
from detkit.files.disk import make_folder
from detkit.runner.log import FaultLog
from detkit.runner.schedules import Position

READABLE_SIDE = 320  # pixels; smaller images are enlarged before names are written into them


class Hook:
    """The moments of a run; a hook overrides those it needs. ``run`` is the Runner.

    An evaluation that is due comes before ``after_step`` and ``after_epoch``, which therefore see
    what it found.
    """

    def start(self, run):
        """Before the first step."""

    def before_step(self, run):
        """Before each step."""

    def evaluate(self, run):
        """When an evaluation is due: in a plugin's turn, ``metrics`` and ``detections`` are set."""

    def after_step(self, run):
        """After each step. Nothing here may wait for the device, but at a log interval."""

    def after_epoch(self, run):
        """After the last step of each epoch."""

    def finish(self, run):
        """After the last step of the run, or when it stops early."""


class ScheduleHook(Hook):
    """Sets the learning rate of each step."""

    def __init__(self, lr, schedule, accumulate):
        self._lr, self._schedule, self._accumulate = lr, schedule, accumulate

    def before_step(self, run):
        """lr = train.lr times the schedule's factor."""
        step = run.progress.step
        position = Position(step, step // self._accumulate, run.epoch, run.share)
        run.lr = self._lr * self._schedule(position)


class LogHook(Hook):
    """Every ``every`` steps: losses, lr, ETA, the share of time spent waiting for data, memory.

    The first step of a process is reported as well, so that a user sees at once that it goes on;
    it also plans memory, and the time that is left is estimated from the steps after it.
    """

    def __init__(self, log, every):
        self._log, self._every = log, every
        self._faults = self._since = None
        self._first = True
        self._timed, self._seconds = 0, 0.0  # steps after the first, and what they took

    def start(self, run):
        """Nothing has been skipped yet."""
        self._faults = FaultLog(self._log, run.loader)

    def before_step(self, run):
        """The clock starts with each epoch's first batch: an evaluation is no part of training."""
        if self._since is None:
            self._since = time.perf_counter() - run.data_wait

    def after_step(self, run):
        """Moves the bar; reads the losses of the first step and at the interval."""
        self._log.advance(run.progress.step)
        if self._first or run.progress.step % self._every == 0:
            self._report(run)

    def evaluate(self, run):
        """Reports what is left, and stops the clock."""
        self._report(run)
        self._since = None

    def after_epoch(self, run):
        """Does the same as before an evaluation."""
        self.evaluate(run)

    def finish(self, run):
        """Reports what is left: after this, every loss has been seen to be finite."""
        self._report(run)
        self._log.close()

    def _report(self, run):
        self._faults.update()
        steps = len(run.losses)
        if not steps:
            return
        means = run.losses.read()  # waits for the device
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        waited, run.data_wait = run.data_wait, 0.0
        if not self._first:
            self._timed, self._seconds = self._timed + steps, self._seconds + seconds
        self._first = False
        record = {
            "epoch": run.epoch,
            "step": run.progress.step,
            "lr": run.lr,
            **means,
            "seconds_per_step": seconds / steps,
            "data_wait": waited / seconds,
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "eta_seconds": self._left(run.total_steps - run.progress.step),
        }
        self._log.write("train", **record)
        parts = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        short = f"{parts} lr {run.lr:.2g} data {record['data_wait']:.0%} {record['memory_mb']} MB"
        eta = f"at step {(run.progress.step // self._every + 1) * self._every}"
        if record["eta_seconds"] is not None:
            eta = datetime.timedelta(seconds=round(record["eta_seconds"]))
        self._log.show(
            short,
            f"epoch {run.epoch:.2f}{_of_epochs(run)} step {run.progress.step}/{run.total_steps} "
            f"{short} "
            f"{record['seconds_per_step']:.2f} s/step ETA {eta}",
        )

    def _left(self, steps):
        """The seconds that so many steps will take; None as long as nobody knows."""
        return steps * self._seconds / self._timed if self._timed else None


class EvaluateHook(Hook):
    """Evaluates the detector; keeps the metrics and the detections."""

    def __init__(self, log, detector, loader, evaluator):
        self._log, self._detector, self._loader = log, detector, loader
        self._evaluator = evaluator
        self._faults = FaultLog(log, loader)

    def evaluate(self, run):
        """Sets ``metrics`` and ``detections``, or neither if a signal comes meanwhile."""
        self._log.say(f"{_place(run)}: evaluating {len(self._loader.dataset)} images")
        detections = detect_dataset(self._detector, self._loader, run.interrupt)
        self._faults.update()
        if detections is None:
            return
        run.detections = detections
        run.metrics = self._evaluator(self._loader.dataset, detections)
        self._log.write("evaluate", epoch=run.epoch, step=run.progress.step, **run.metrics)
        numbers = " ".join(
            f"{name} {value:.4f}" for name, value in run.metrics.items() if name != "per_class"
        )
        self._log.say(f"{_place(run)}: {numbers}")


def _place(run):
    """'epoch 3/12' at the end of an epoch, 'step 500/80000' within one."""
    if run.progress.batch == 0:
        return f"epoch {run.progress.epoch}{_of_epochs(run)}"
    return f"step {run.progress.step}/{run.total_steps}"


def _of_epochs(run):
    return "" if run.length.epochs is None else f"/{run.length.epochs}"


class CheckpointHook(Hook):
    """Saves at an interval, at each evaluation, and when the run stops.

    every: the Interval. keep: how many of the latest checkpoints are kept, beside the best.
    main: the name of the metric that says which is the best.
    """

    def __init__(self, folder, model, optimizer, class_names, config_text, every, keep, main):
        self._folder, self._every, self._keep, self._main = folder, every, keep, main
        self._contents = (model, optimizer)
        self._rest = (class_names, config_text)
        self._saved = None  # the Progress of the last checkpoint

    def start(self, run):
        """What a run begins with needs no saving."""
        self._saved = run.progress

    def evaluate(self, run):
        """Saves; the new one becomes the best if its ``main`` metric is."""
        score = (run.metrics or {}).get(self._main, math.nan)
        is_best = score > (-1 if run.best is None else run.best)
        if is_best:
            run.best = score
        path = self._save(run)
        if is_best:
            self._point_best_to(path)
        self._prune()

    def after_step(self, run):
        """Saves at the interval, unless an evaluation just did."""
        if self._every.is_due(run.progress):
            self._save_what_is_new(run)

    def after_epoch(self, run):
        """Does the same as after a step."""
        self.after_step(run)

    def finish(self, run):
        """Saves where the run stopped."""
        self._save_what_is_new(run)

    def _save_what_is_new(self, run):
        if run.progress != self._saved:
            self._save(run)
            self._prune()

    def _save(self, run):
        check_finite(self._contents[0], run.progress.step)
        path = os.path.join(self._folder, f"step-{run.progress.step:08d}")
        class_names, config_text = self._rest
        save_checkpoint(
            path,
            *self._contents,
            progress=run.progress,
            class_names=class_names,
            config_text=config_text,
            metrics=run.metrics,
            best=run.best,
        )
        self._saved = run.progress
        return path

    def _point_best_to(self, path):
        link = os.path.join(self._folder, "best")
        partial = link + ".partial"
        if os.path.lexists(partial):
            os.remove(partial)
        if os.path.isdir(link) and not os.path.islink(link):
            shutil.rmtree(link)  # a run that was copied may have a copy in place of the link
        os.symlink(os.path.basename(path), partial)
        os.replace(partial, link)

    def _prune(self):
        best = os.path.realpath(os.path.join(self._folder, "best"))
        for path in find_checkpoints(self._folder)[: -self._keep]:
            if os.path.realpath(path) != best:
                shutil.rmtree(path)


class VisualizeHook(Hook):
    """Draws the detections of the first ``count`` images of each evaluation on one sheet."""

    def __init__(self, folder, dataset, count):
        self._folder, self._dataset, self._count = folder, dataset, count

    def evaluate(self, run):
        """Writes ``epoch-003.png``, or ``step-00000500.png`` within an epoch."""
        if not run.detections or not self._count:
            return
        pictures = []
        for index in range(min(self._count, len(self._dataset))):
            found = run.detections.get(self._dataset.annotation(index).image_id)
            if found is not None:
                image = self._dataset.image(index)
                scale = max(1.0, READABLE_SIDE / min(image.shape[:2]))
                pictures.append(draw_detections(image, found, scale=scale))
        if pictures:
            make_folder(self._folder)
            step, epoch, batch = run.progress
            name = f"step-{step:08d}.png" if batch else f"epoch-{epoch:03d}.png"
            save_image(os.path.join(self._folder, name), contact_sheet(pictures, columns=3))


class StopHook(Hook):
    """Ends the run after the step, or the evaluation, in which SIGINT or SIGTERM came."""

    def evaluate(self, run):
        """Sets ``stopping``; a plugin's hook may have set it before."""
        run.stopping = run.stopping or run.interrupt.signal is not None

    def after_step(self, run):
        """Does the same as after an evaluation."""
        self.evaluate(run)

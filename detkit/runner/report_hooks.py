"""The hooks that show a run to the user: its log, and pictures of batches and detections."""

import datetime
import os
import resource
import time
from typing import Any, Dict, Optional

from detkit.data.loader import Loader
from detkit.data.pictures import batch_pictures
from detkit.data.sample import Dataset
from detkit.detections.draw import contact_sheet, draw_detections, save_image
from detkit.files.disk import make_folder
from detkit.runner.hooks import Hook
from detkit.runner.interrupt import Interrupted
from detkit.runner.log import FaultLog, RunLog
from detkit.runner.loop import Runner
from detkit.runner.time_budget import TimeBudget

MOST_OF_BATCH = 2  # images of a batch that are drawn
CELL = (540, 720)  # pixels; the height and width that an image of a batch may have on its sheet
READABLE_SIDE = 320  # pixels; smaller images are enlarged before names are written into them


class LogHook(Hook):
    """The hook that reports losses, lr, time left, the share of waiting for data, and memory.

    It reports every ``every`` steps, and after the first step of a process, so that a user sees at
    once that training has begun. The first step also compiles and plans memory: the time left is
    estimated from the steps after it.
    """

    def __init__(self, log: RunLog, loader: Loader, every: int):
        self._log, self._every = log, every
        self._faults = FaultLog(log, loader)
        self._since: Optional[float] = None  # the time from which the steps are timed
        self._first = True
        self._timed, self._seconds = 0, 0.0  # the steps after the first, and their seconds

    def start(self, run: Runner) -> None:
        """Begins to copy the warnings of the run into ``log.txt``."""
        self._log.follow()

    def before_step(self, run: Runner) -> None:
        """Starts the clock at each epoch's first batch: an evaluation is no part of training."""
        if self._since is None:
            self._since = time.perf_counter() - run.data_wait

    def after_step(self, run: Runner) -> None:
        """Moves the bar; reads the losses after the first step and at the interval."""
        self._log.advance(run.progress.step, run.total_steps)
        if self._first or run.progress.step % self._every == 0:
            self._report(run)

    def evaluate(self, run: Runner) -> None:
        """Reports the remaining steps, and stops the clock."""
        self._report(run)
        self._since = None

    def after_epoch(self, run: Runner) -> None:
        """Does the same as before an evaluation."""
        self.evaluate(run)

    def finish(self, run: Runner) -> None:
        """Reports the remaining steps, so that every loss of the run was checked to be finite."""
        self._report(run)

    def close(self, run: Runner) -> None:
        """Finishes the bar and ``log.txt``, in which the error stands that has ended the run."""
        if run.interrupt.signal is not None:
            self._log.note(f"error: {Interrupted(run.interrupt.signal)}")
        elif run.failure is not None:
            self._log.note(f"error: {type(run.failure).__name__}: {run.failure}")
        self._log.close()

    def _report(self, run: Runner) -> None:
        self._faults.update()
        steps = len(run.losses)
        if not steps or self._since is None:
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
            "eta_seconds": self._left(run),
        }
        self._log.write("train", **record)
        self._show(run, means, record)

    def _show(self, run: Runner, means: Dict[str, float], record: Dict[str, Any]) -> None:
        losses = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        short = f"{losses} lr {run.lr:.2g} data {record['data_wait']:.0%} {record['memory_mb']} MB"
        eta = f"at step {(run.progress.step // self._every + 1) * self._every}"
        if record["eta_seconds"] is not None:
            eta = str(datetime.timedelta(seconds=round(record["eta_seconds"])))
        of_epochs = "" if run.length.epochs is None else f"/{run.length.epochs}"
        self._log.show(
            short,
            f"epoch {run.epoch:.2f}{of_epochs} step {run.counted_steps} {short} "
            f"{record['seconds_per_step']:.2f} s/step ETA {eta}",
        )

    def _left(self, run: Runner) -> Optional[float]:
        """Returns the seconds of the steps that are left; None before a step was timed.

        Of a TimeBudget, it is the time that is left.
        """
        if isinstance(run.length, TimeBudget):
            return max(0.0, run.length.seconds - run.length.watch.elapsed)
        if run.total_steps is None or not self._timed:
            return None
        return (run.total_steps - run.progress.step) * self._seconds / self._timed


class VisualizeHook(Hook):
    """The hook that draws what the network sees and what it finds.

    folder: that of the pictures.
    dataset, count: the validation images, and the number of them that are drawn at each evaluation.
    batches: the number of first batches of the run that are drawn with their objects.
    """

    def __init__(self, folder: str, dataset: Dataset, count: int, batches: int = 0):
        self._folder, self._dataset, self._count = folder, dataset, count
        self._batches = batches

    def before_step(self, run: Runner) -> None:
        """Writes a sheet of the step's batch, ``train-000.png``, if it is one of the first.

        A step that fails has its sheet, too. A resumed run does not draw again.
        """
        step, batch = run.progress.step, run.batch
        if step >= self._batches or batch is None:
            return
        make_folder(self._folder)
        pictures = batch_pictures(batch, self._dataset.class_names, MOST_OF_BATCH)
        sheet = contact_sheet(pictures, min(len(pictures), 2), CELL)
        save_image(os.path.join(self._folder, f"train-{step:03d}.png"), sheet)

    def evaluate(self, run: Runner) -> None:
        """Writes one sheet: ``epoch-003.png``, or ``step-00000500.png`` within an epoch."""
        if not run.detections or not self._count:
            return
        pictures = []
        for index in range(min(self._count, len(self._dataset))):
            detections = run.detections.get(self._dataset.annotation(index).image_id)
            if detections is not None:
                image = self._dataset.image(index)
                scale = max(1.0, READABLE_SIDE / min(image.shape[:2]))
                pictures.append(draw_detections(image, detections, scale=scale))
        if pictures:
            make_folder(self._folder)
            step, epoch, batch = run.progress
            name = f"step-{step:08d}.png" if batch else f"epoch-{epoch:03d}.png"
            path = os.path.join(self._folder, name)
            save_image(path, contact_sheet(pictures, columns=3))
            run.picture = path

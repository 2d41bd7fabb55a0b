"""The hooks that evaluate a run, save its checkpoints and mark the best one."""

import itertools
import math
import os
from typing import Any, Callable, List, Optional, Sequence

from mxnet.gluon import Block

from detkit.checkpoints import (
    Branch,
    Origin,
    Progress,
    check_finite,
    make_room,
    mend_best,
    point_best_to,
    point_last_to,
    prune,
    save_checkpoint,
)
from detkit.data.loader import Loader
from detkit.detections.of_dataset import detect_dataset
from detkit.detector import Detector
from detkit.errors import CheckpointError, DataError
from detkit.evaluate.choose import by_class, threshold_by
from detkit.evaluate.judged import Evaluator, Judged, judge, rule_of
from detkit.runner.hooks import Hook
from detkit.runner.intervals import Interval
from detkit.runner.log import FaultLog, RunLog
from detkit.runner.loop import Runner
from detkit.runner.optimizer import Optimizer
from detkit.runner.stopwatch import Clock
from detkit.runner.val_loss import ValidationLoss
from detkit.threshold import Rule, Threshold


class EvaluateHook(Hook):
    """The hook that evaluates the detector, and keeps the metrics and the detections.

    loader: the Loader of the validation images.
    evaluator: a function from a dataset and {image id: Detections} to {name: number}.
    val_loss: the ValidationLoss, or None.
    rule: the Rule of the threshold that each evaluation chooses, or None.
    """

    def __init__(
        self,
        log: RunLog,
        detector: Detector,
        loader: Loader,
        evaluator: Evaluator,
        val_loss: Optional[ValidationLoss] = None,
        rule: Optional[Rule] = None,
    ):
        self._log, self._detector, self._loader = log, detector, loader
        self._evaluator, self._val_loss, self._rule = evaluator, val_loss, rule
        self._faults = FaultLog(log, loader)

    def estimate(self, clock: Clock) -> float:
        """Returns about how many seconds an evaluation takes, by the second of its batches.

        The first one also compiles. A validation loss takes about as long as the detections.
        """
        seconds, began = 0.0, clock()
        for batch in itertools.islice(self._loader.batches(epoch=0), 2):
            self._detector.detect_batch(batch)
            ended = clock()
            seconds, began = ended - began, ended
        return seconds * len(self._loader) * (2 if self._val_loss else 1)

    def evaluate(self, run: Runner) -> None:
        """Sets ``metrics``, ``by_class``, ``detections``, and what else a run computes.

        These are ``val_losses`` and ``threshold``.

        It sets none of them if a signal interrupts the evaluation.
        """
        self._log.say(f"{_place(run)}: evaluating {len(self._loader.dataset)} images")
        detections = detect_dataset(self._detector, self._loader, run.interrupt)
        self._faults.update()
        losses = self._val_loss(run.interrupt) if self._val_loss and detections else {}
        if detections is None or losses is None:
            return
        if losses:
            run.val_losses = losses
            self._log.write("val_loss", epoch=run.epoch, step=run.progress.step, **losses)
            shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
            self._log.say(f"{_place(run)}: validation {shown}")
        run.detections = detections
        judged = judge(self._evaluator, self._loader.dataset, detections)
        metrics = run.metrics = judged.metrics
        self._log.write("evaluate", epoch=run.epoch, step=run.progress.step, **metrics)
        numbers = " ".join(
            f"{name} {value:.4f}" for name, value in metrics.items() if name != "per_class"
        )
        self._log.say(f"{_place(run)}: {numbers}")
        self._choose(run, judged)

    def _choose(self, run: Runner, judged: Judged) -> None:
        """Sets ``threshold`` by the rule if it can be fulfilled, and ``by_class``."""
        names = self._loader.dataset.class_names
        if self._rule:
            try:
                run.threshold = threshold_by(self._rule, judged.hits, names, "val")
                self._log.say(f"{_place(run)}: threshold: {run.threshold}")
            except DataError as error:  # a later evaluation may fulfil it
                self._log.say(f"{_place(run)}: {error}")
        run.by_class = by_class(judged, names, run.threshold, "val", rule_of(self._evaluator))


def _place(run: Runner) -> str:
    """Returns 'epoch 3/12' at the end of an epoch, 'step 500/80000' within one."""
    if run.progress.batch:
        return f"step {run.counted_steps}"
    of_epochs = "" if run.length.epochs is None else f"/{run.length.epochs}"
    return f"epoch {run.progress.epoch}{of_epochs}"


class CheckpointHook(Hook):
    """The hook that saves at an interval, at each evaluation, and when the run stops or fails.

    folder: the folder of the checkpoints.
    branch: the line of training that the checkpoints belong to.
    model, optimizer, class_names, origin: what a checkpoint holds beside the progress. The model
        is the one that is evaluated.
    every: the Interval between two checkpoints.
    keep: the number of the latest checkpoints that are kept, beside the best.
    main: the name of the metric that chooses the best.
    """

    def __init__(
        self,
        log: RunLog,
        folder: str,
        branch: Branch,
        model: Block,
        optimizer: Optimizer,
        class_names: Sequence[str],
        origin: Origin,
        every: Interval,
        keep: int,
        main: str,
    ):
        self._log, self._folder, self._branch = log, folder, branch
        self._every, self._keep, self._main = every, keep, main
        self._model, self._optimizer = model, optimizer
        self._class_names, self._origin = class_names, origin
        self._saved: Optional[Progress] = None  # the progress of the last checkpoint
        self._kept: List[str] = []  # checkpoints of other branches that the user was told of

    def start(self, run: Runner) -> None:
        """Remembers where the run begins, because its state need not be saved there.

        If a kill came between the best checkpoint and the file ``best``, the file is written now.
        """
        self._saved = run.progress
        if run.best is not None:
            self._attempt(mend_best, self._folder, self._branch, self._main, run.best)

    def evaluate(self, run: Runner) -> None:
        """Saves a checkpoint, which becomes the best if its ``main`` metric is."""
        score = (run.metrics or {}).get(self._main, math.nan)
        is_best = score > (-1 if run.best is None else run.best)
        if is_best:
            run.best, run.stale = score, 0
        elif run.metrics is not None:  # an evaluation that was stopped is made later
            run.stale += 1
        path = self._save(run, run.threshold)
        if is_best:
            self._attempt(point_best_to, path)
        self._prune()

    def after_step(self, run: Runner) -> None:
        """Saves at the interval, unless an evaluation has just done so."""
        if self._every.is_due(run.progress):
            self._save_if_new(run)

    def after_epoch(self, run: Runner) -> None:
        """Does the same as after a step."""
        self.after_step(run)

    def finish(self, run: Runner) -> None:
        """Saves the state in which the run stopped."""
        self._save_if_new(run)

    def rescue(self, run: Runner) -> None:
        """Saves the state after the last step, if that is possible, and says so."""
        if run.progress == self._saved:
            return
        try:
            path = self._save(run)
        except Exception as error:  # the error that ends the run is more important
            self._log.say(f"step {run.progress.step}: cannot be saved: {error}")
            return
        self._log.say(f"{path}: saved because of an error; --resume auto continues from here")

    def _save_if_new(self, run: Runner) -> None:
        if run.progress != self._saved:
            self._save(run)
            self._prune()

    def _save(self, run: Runner, threshold: Optional[Threshold] = None) -> str:
        for network in {run.train_step.model: None, self._model: None}:  # one without averages
            check_finite(network, run.progress.step)
        path = os.path.join(self._folder, f"step-{run.progress.step:08d}")
        aside = self._attempt(make_room, path, self._branch)
        if aside:
            self._log.say(f"{aside}: the new name of another branch's {os.path.basename(path)}")
        self._log.sync()
        save_checkpoint(
            path,
            self._model,
            self._optimizer,
            progress=run.progress,
            class_names=self._class_names,
            origin=self._origin,
            metrics=run.metrics,
            best=run.best,
            branch=self._branch,
            stale=run.stale,
            spent=run.spent,
            threshold=threshold,
            by_class=run.by_class,
        )
        point_last_to(self._folder, path, run.progress.step, self._branch)
        self._saved = run.progress
        return path

    def _attempt(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OSError as error:
            raise CheckpointError(
                f"{self._folder}: expected a folder that can be changed, found that it cannot: "
                f"{error.strerror}; make room or correct the permissions, then continue with "
                "--resume auto"
            ) from error

    def _prune(self) -> None:
        others = self._attempt(prune, self._folder, self._branch, self._keep)
        if set(others) - set(self._kept):
            self._kept = others
            self._log.say(
                f"{self._folder}: {', '.join(others)}: kept, because they belong to another branch "
                "or are damaged; delete them if they are not needed"
            )

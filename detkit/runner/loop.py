"""The training loop: steps and evaluations. Hooks (hooks.py) do everything else."""

import contextlib
import time
from typing import Any, Dict, Iterable, Iterator, Optional, Union

import mxnet as mx
from mxnet import autograd

from detkit.checkpoints import Checkpoint, Progress, Spent
from detkit.data.loader import Loader
from detkit.data.sample import Batch
from detkit.detections import Detections
from detkit.errors import TrainingError
from detkit.runner.devices import Devices
from detkit.runner.interrupt import Interrupt
from detkit.runner.intervals import Interval
from detkit.runner.loss_window import LossWindow
from detkit.runner.optimizer import Optimizer
from detkit.runner.time_budget import Length, TimeBudget, WhileTimeIsLeft
from detkit.threshold import Threshold


class Runner:
    """The loop over every epoch and every batch; hooks are called around each step in their order.

    train_step: a detkit.train_steps.TrainStep, a function from a batch to its losses.
    loader: the Loader of the training images, with the fields that the step takes.
    optimizer: the Optimizer of the model that train_step trains.
    hooks: objects with some of the methods of hooks.Hook.
    length: the Interval after which the run ends, or a TimeBudget.
    devices, work_dir: the Devices of the training, the folder of the run.
    evaluate_every: the Interval between two evaluations, or a WhileTimeIsLeft. The end of the run
        always has one. None switches evaluation off.

    Hooks read and set these attributes:

    batch: the Batch of the step that is being made, or of the last one; None before the first.
    progress: the number of steps and epochs that were made.
    lr: the learning rate of the step.
    losses: the losses since they were last read.
    data_wait: the seconds spent waiting for batches since the hook of the log set them to 0.
    metrics, detections: the results of the last evaluation; None before the first evaluation, and
        after one that was interrupted.
    val_losses: the losses of the last evaluation over the validation images, if they are computed.
    picture: the path of the sheet that was drawn of the last evaluation, or None.
    work_dir: the folder of the run.
    threshold: the Threshold that the last evaluation chose, or None.
    by_class: what the last evaluation found of each class, see detkit.evaluate.choose.by_class.
    best: the best main metric so far, or None.
    stale: the number of evaluations since the best one.
    stopping: whether the run ends after this step.
    failure: the error that has ended the run, or None; for the hooks' ``close``.
    """

    def __init__(
        self,
        train_step: Any,
        loader: Loader,
        optimizer: Optimizer,
        hooks: Iterable[object],
        length: Length,
        devices: Devices,
        work_dir: str,
        evaluate_every: Union[Interval, WhileTimeIsLeft, None] = None,
    ):
        self.train_step = train_step
        self.loader = loader
        self.optimizer = optimizer
        self.hooks = list(hooks)
        self.length = length
        self._devices = devices
        self._evaluate_every = evaluate_every
        self._evaluated_step: Optional[int] = None
        self.batch: Optional[Batch] = None
        self.progress = Progress()
        self.lr = 0.0
        self.losses = LossWindow(loader, work_dir)
        self.work_dir = work_dir
        self.data_wait = 0.0
        self.metrics: Optional[Dict[str, Any]] = None
        self.detections: Optional[Dict[Any, Detections]] = None
        self.val_losses: Optional[Dict[str, float]] = None
        self.picture: Optional[str] = None
        self.threshold: Optional[Threshold] = None
        self.by_class: Dict[str, Any] = {}
        self.best: Optional[float] = None
        self.stale = 0
        self.interrupt = Interrupt()
        self.stopping = False
        self.failure: Optional[BaseException] = None
        self._complete = True  # whether the weights are those after step progress.step

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes the position of a run that goes on from ``checkpoint``, and what it knew there."""
        self.progress = checkpoint.progress
        self.metrics, self.best = checkpoint.metrics, checkpoint.best
        self.by_class, self.stale = checkpoint.by_class, checkpoint.stale
        if isinstance(self.length, TimeBudget) and checkpoint.spent:
            self.length.watch.restore(checkpoint.spent)

    @property
    def epoch(self) -> float:
        """The number of epochs that were made, a fraction within an epoch."""
        return self.progress.epoch + self.progress.batch / len(self.loader)

    @property
    def total_steps(self) -> Optional[int]:
        """The number of steps of the whole run; of a TimeBudget an estimate, or None."""
        return self.length.total_steps(len(self.loader))

    @property
    def counted_steps(self) -> str:
        """The steps that were made and those of the run: '500/80000', '500/~612' or '500'."""
        total, about = self.total_steps, "~" * isinstance(self.length, TimeBudget)
        return f"{self.progress.step}" + ("" if total is None else f"/{about}{total}")

    @property
    def spent(self) -> Optional[Spent]:
        """The time spent that a checkpoint keeps of a TimeBudget; None for an Interval."""
        if isinstance(self.length, Interval):
            return None
        return self.length.spent(self.progress, evaluated=self.metrics is not None)

    @property
    def share(self) -> float:
        """The part of the whole run that was made, in [0, 1]."""
        return self.length.share(self.progress.step, self.epoch)

    @property
    def finished(self) -> bool:
        """Whether the last step was made and, if an epoch ends with it, the epoch has ended."""
        return self.length.reached(self.progress) and self.progress.batch < len(self.loader)

    def run(self) -> None:
        """Trains to the end, or until a signal: then it saves and raises Interrupted.

        After an error of the data, of a hook or of memory, the hooks save what was trained
        (``rescue``), and the error is raised. After a TrainingError or an error of MXNet the
        weights cannot be relied on. The hooks are closed in any case.
        """
        with self.interrupt, self._closing():
            try:
                self._run()
            except (TrainingError, mx.base.MXNetError):
                raise
            except Exception:
                if self._complete:
                    with contextlib.suppress(Exception):  # it must not hide the error above
                        self.call("rescue")
                raise
        self.interrupt.check()

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """Closes the hooks at the end; their errors do not hide the one that ended the run."""
        try:
            yield
        except BaseException as error:  # a second Ctrl-C as well
            self.failure = error
            with contextlib.suppress(Exception):
                self.call("close")
            raise
        self.call("close")

    def _run(self) -> None:
        self.call("start")
        self._make_up_for_evaluation()
        while not (self.finished or self.stopping):
            self._run_epoch()
        self.call("finish")

    def _run_epoch(self) -> None:
        step, epoch, start = self.progress
        batches = self.loader.batches(epoch, start)
        while True:
            waiting = time.perf_counter()
            batch = next(batches, None)
            self.data_wait += time.perf_counter() - waiting
            if batch is None:
                break
            self.step(batch)
            if self.finished or self.stopping:
                return
        self.progress = Progress(self.progress.step, epoch + 1, 0)
        self._evaluate_if_due()
        self.call("after_epoch")

    def step(self, batch: Batch) -> None:
        """Makes one training step: forward, backward, update.

        It does not wait for the step's own results, only for the losses of the step before. Python
        is then at most two steps ahead of the device, which has enough to do, and a run that is
        stopped has little left to finish. An evaluation or a hook may wait longer.
        """
        step, epoch, _ = self.progress
        self.batch = batch
        self.call("before_step")
        with autograd.record():
            totals, losses = self._devices.losses(self.train_step, batch, step)
        progress = Progress(step + 1, epoch, batch.number + 1)
        last = self.length.is_last_step(progress, len(self.loader))
        # From here to the end of the update, gradients, statistics and weights belong to no step.
        self._complete = False
        autograd.backward(totals)
        self.optimizer.step(step + 1, self.lr, last)
        self.progress, self._complete = progress, True
        self.losses.add(self.progress, losses, batch.image_ids)
        self.losses.wait(before=1)
        self._evaluate_if_due()
        self.call("after_step")

    def _make_up_for_evaluation(self) -> None:
        """Makes the evaluation in which a resumed run was stopped.

        An evaluation begins by setting ``metrics`` to None. Metrics that are not None therefore
        belong to this place if an evaluation is due here, and to an earlier place if none is.
        """
        if self.metrics is None:
            self._evaluate_if_due()
        elif self._evaluation_is_due():
            self._evaluated_step = self.progress.step

    def _evaluation_is_due(self) -> bool:
        every = self._evaluate_every
        return every is not None and (
            every.is_due(self.progress) or self.length.is_due(self.progress)
        )

    def _evaluate_if_due(self) -> None:
        # The last step of an epoch may be due both as a step and as the end of the epoch.
        if self._evaluation_is_due() and self._evaluated_step != self.progress.step:
            self._evaluated_step = self.progress.step
            self.metrics = self.detections = self.val_losses = None
            self.picture = self.threshold = None
            self.by_class = {}
            self.call("evaluate")

    @property
    def result(self) -> Optional[Dict[str, Any]]:
        """The metrics of the last evaluation and what it found of each class, or None."""
        return None if self.metrics is None else {**self.metrics, **self.by_class}

    def call(self, moment: str) -> None:
        """Calls each hook's method of this name, if it has one.

        Every hook gets its turn, so that the failure of one does not keep another from saving; the
        first failure is raised afterwards. Only a TrainingError is raised at once.
        """
        failure = None
        for hook in self.hooks:
            try:
                getattr(hook, moment, _nothing)(self)
            except TrainingError:
                raise  # the weights are spoilt: nothing must be saved over what was good
            except Exception as error:
                failure = failure or error
        if failure:
            raise failure


def _nothing(_: Runner) -> None:
    """Stands for the method of a hook that has none of this name."""

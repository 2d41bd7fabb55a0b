"""The training loop. What happens beside the step itself is in the hooks (hooks.py)."""

import time

import mxnet as mx
from mxnet import autograd

from detkit.errors import TrainingError
from detkit.files.checkpoint import Progress
from detkit.runner.interrupt import Interrupt
from detkit.runner.loss_window import LossWindow
from detkit.runner.seed import seed_step


class Runner:
    """Trains: every epoch, every batch, one step; the hooks are called around it in their order.

    train_step: a TrainStep. loader: of the training images, with the fields that it takes.
    optimizer: of the model that train_step trains. hooks: see hooks.Hook. seed: of the run.
    length: the Interval after which the run ends.
    evaluate_every: the Interval between two evaluations, of which the end always has one; None: no
        evaluation at all.

    Hooks read and set: ``progress``, ``lr`` of the step, ``losses`` since they were last read,
    ``data_wait`` seconds spent waiting for batches, ``metrics`` and ``detections`` of the last
    evaluation (None before the first, and after one that was interrupted), ``best`` main metric so
    far, ``stopping``.
    """

    def __init__(
        self,
        train_step,
        loader,
        optimizer,
        hooks,
        length,
        ctx,
        work_dir,
        seed=0,
        evaluate_every=None,
    ):
        self.train_step = train_step
        self.loader = loader
        self.optimizer = optimizer
        self.hooks = list(hooks)
        self.length = length
        self._ctx = ctx
        self._seed = seed
        self._evaluate_every = evaluate_every
        self._evaluated_step = None
        self.progress = Progress()
        self.lr = 0.0
        self.losses = LossWindow(loader, work_dir)
        self.data_wait = 0.0
        self.metrics = self.detections = None
        self.best = None
        self.interrupt = Interrupt()
        self.stopping = False

    @property
    def epoch(self):
        """The number of epochs that were made, with the part of the one under way."""
        return self.progress.epoch + self.progress.batch / len(self.loader)

    @property
    def total_steps(self):
        """The number of steps of the whole run."""
        return self.length.total_steps(len(self.loader))

    @property
    def share(self):
        """The part of the whole run that was made, 0 to 1."""
        if self.length.epochs is not None:
            return self.epoch / self.length.epochs
        return self.progress.step / self.length.steps

    @property
    def finished(self):
        """Whether the last step was made and, if an epoch ends with it, the epoch has ended."""
        return self.length.reached(self.progress) and self.progress.batch < len(self.loader)

    def run(self):
        """Train to the end, or until a signal: then save and raise Interrupted."""
        with self.interrupt:
            self.call("start")
            self._make_up_for_evaluation()
            while not (self.finished or self.stopping):
                self._run_epoch()
            self.call("finish")
        self.interrupt.check()

    def _run_epoch(self):
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

    def step(self, batch):
        """One training step: forward, backward, update. It waits for nothing but an evaluation."""
        step, epoch, _ = self.progress
        seed_step(self._seed, step)
        self.call("before_step")
        inputs = (batch.array(name) for name in self.train_step.INPUTS)
        inputs = [mx.nd.array(array, ctx=self._ctx, dtype=array.dtype) for array in inputs]
        with autograd.record():
            losses = self.train_step(*inputs)
            total = mx.nd.add_n(*losses.values())
        total.backward()
        self.optimizer.step(step + 1, self.lr)
        self.progress = Progress(step + 1, epoch, batch.number + 1)
        self.losses.add(self.progress, losses, batch.image_ids)
        self._evaluate_if_due()
        self.call("after_step")

    def _make_up_for_evaluation(self):
        """Make the evaluation in which a resumed run was stopped.

        An evaluation begins by setting ``metrics`` to None, so they are those of another place
        only where none is due.
        """
        if self.metrics is None:
            self._evaluate_if_due()
        elif self._evaluation_is_due():
            self._evaluated_step = self.progress.step

    def _evaluation_is_due(self):
        every = self._evaluate_every
        return every is not None and (
            every.is_due(self.progress) or self.length.is_due(self.progress)
        )

    def _evaluate_if_due(self):
        # The last step of an epoch may be due both as a step and as the end of the epoch.
        if self._evaluation_is_due() and self._evaluated_step != self.progress.step:
            self._evaluated_step = self.progress.step
            self.metrics = self.detections = None
            self.call("evaluate")

    def call(self, moment):
        """Call each hook's method of this name, if it has one.

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


def _nothing(_):
    """The turn of a hook that has no such method."""

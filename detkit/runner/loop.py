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

    Hooks read and set: ``progress``, ``lr`` of the step, ``losses`` since they were last read,
    ``data_wait`` seconds spent waiting for batches, ``metrics`` and ``detections`` of the epoch's
    evaluation (None without one), ``best`` main metric so far, ``stopping``.
    """

    def __init__(self, train_step, loader, optimizer, hooks, epochs, ctx, work_dir, seed=0):
        self._train_step = train_step
        self._optimizer = optimizer
        self._hooks = hooks
        self._ctx = ctx
        self._seed = seed
        self.loader = loader
        self.epochs = epochs
        self.progress = Progress()
        self.lr = 0.0
        self.losses = LossWindow(loader, work_dir)
        self.data_wait = 0.0
        self.metrics = self.detections = None
        self.best = None
        self.interrupt = Interrupt()
        self.stopping = False

    def run(self):
        """Train to the end, or until a signal: then save and raise Interrupted."""
        with self.interrupt:
            self._call("start")
            while self.progress.epoch < self.epochs and not self.stopping:
                self._run_epoch()
            self._call("finish")
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
            if self.stopping:
                return
        self.progress = Progress(self.progress.step, epoch + 1, 0)
        self._call("after_epoch")

    def step(self, batch):
        """One training step: forward, backward, update. Waits for nothing."""
        step, epoch, _ = self.progress
        seed_step(self._seed, step)
        self._call("before_step")
        inputs = (batch.array(name) for name in self._train_step.INPUTS)
        inputs = [mx.nd.array(array, ctx=self._ctx, dtype=array.dtype) for array in inputs]
        with autograd.record():
            losses = self._train_step(*inputs)
            total = mx.nd.add_n(*losses.values())
        total.backward()
        self._optimizer.step(step + 1, self.lr)
        self.progress = Progress(step + 1, epoch, batch.number + 1)
        self.losses.add(self.progress, losses, batch.image_ids)
        self._call("after_step")

    def _call(self, moment):
        """Every hook gets its turn, so that one's failure does not keep another from saving."""
        failure = None
        for hook in self._hooks:
            try:
                getattr(hook, moment)(self)
            except TrainingError:
                raise  # the weights are spoilt: nothing must be saved over what was good
            except Exception as error:
                failure = failure or error
        if failure:
            raise failure

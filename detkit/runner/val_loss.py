"""The losses of the training step over the validation images."""

from typing import Any, Dict, Optional

import mxnet as mx
import numpy as np
from mxnet import autograd

from detkit.data.loader import Loader
from detkit.runner.devices import inputs_of
from detkit.runner.interrupt import Interrupt
from detkit.runner.seed import seed_step
from detkit.typing import Context


class ValidationLoss:
    """The mean losses of a training step over the images of a loader, which trains on nothing.

    The step is called without recording: batch norm uses its running statistics and does not change
    them, dropout drops nothing, and there is no gradient.

    Each batch has a seed of its own for the samples of anchors and RoIs, the same in every
    evaluation. Two evaluations therefore differ by the weights alone. The training does not notice
    it, because MXNet's generator is seeded before every training step, too.

    train_step: the TrainStep. loader: a Loader of the images with the arrays that the step takes.
    ctx, seed: the device, and the seed of the run.
    """

    def __init__(self, train_step: Any, loader: Loader, ctx: Context, seed: int):
        self._train_step, self.loader = train_step, loader
        self._ctx, self._seed = ctx, seed

    def __call__(self, interrupt: Optional[Interrupt] = None) -> Optional[Dict[str, float]]:
        """Returns {name: mean}, with ``loss`` (their sum) first, as the log of the training does.

        A batch counts by the number of its images. None is returned if ``interrupt`` received a
        signal before the last batch, and {} if no image can be decoded. Waits for the device.
        """
        sums: Dict[str, float] = {}
        images = 0
        for batch in self.loader.batches(epoch=0):
            if interrupt is not None and interrupt.signal is not None:
                return None
            seed_step(self._seed, batch.number, self._ctx)
            with autograd.pause(train_mode=False):
                losses = self._train_step(*inputs_of(self._train_step, batch, self._ctx))
            values = mx.nd.concat(*losses.values(), dim=0).asnumpy().astype(np.float64)
            for name, value in zip(losses, values.tolist()):
                sums[name] = sums.get(name, 0.0) + value * len(batch.images)
            images += len(batch.images)
        means = {name: value / images for name, value in sums.items()}
        return {"loss": sum(means.values()), **means} if means else {}

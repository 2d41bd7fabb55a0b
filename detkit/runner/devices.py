"""A training step on several devices: each gets its part of the batch and has its own weights."""

from typing import Any, Dict, List, Sequence, Tuple

import mxnet as mx
from mxnet import autograd

from detkit.data.sample import Batch
from detkit.runner.seed import seed_step
from detkit.typing import Context, NDArray

Losses = Dict[str, NDArray]


class Devices:
    """The devices that share each batch of a training.

    A batch is padded as a whole and then divided into consecutive parts, one for each device. The
    losses of a part count by its share of the images. The sum over all parts is therefore the loss
    of the batch, and the sum of their gradients is its gradient, as far as the parts' losses are
    means over the images: a loss that is divided by the number of sampled boxes is, if every image
    has as many.

    contexts: at least one. If a batch has fewer images, a device without one gets its first image,
        which then counts nothing.
    seed: of every draw.
    """

    def __init__(self, contexts: Sequence[Context], seed: int = 0):
        self.contexts = list(contexts)
        self._seed = seed

    def __str__(self) -> str:
        """Returns the devices in words: 'gpu(0) and gpu(1)'."""
        return " and ".join(map(str, self.contexts))

    def losses(self, train_step: Any, batch: Batch, step: int) -> Tuple[List[NDArray], Losses]:
        """Returns the total loss (1,) of each part, on its device, and {name: loss (1,)} of all.

        step: the number of steps before this one, which the seeds of the draws depend on.

        It is called under autograd.record(). The gradient is that of all totals together.
        """
        heads: List[NDArray] = []
        together: Losses = {}
        for context, images, inputs in self._parts(train_step, batch):
            seed_step(self._seed, step, context)
            losses = train_step(*inputs)
            share = images / len(batch.images)
            if share < 1:
                losses = {name: loss * share for name, loss in losses.items()}
            heads.append(mx.nd.add_n(*losses.values()))
            with autograd.pause():
                for name, loss in losses.items():
                    moved = loss.as_in_context(self.contexts[0])
                    together[name] = together[name] + moved if name in together else moved
        return heads, together

    def _parts(self, train_step: Any, batch: Batch) -> List[Tuple[Context, int, List[NDArray]]]:
        """Returns a device, its number of images and its inputs for each part of a batch."""
        arrays = [batch.array(name) for name in train_step.INPUTS]
        count, parts = len(batch.images), len(self.contexts)
        bounds = [count * number // parts for number in range(parts + 1)]
        return [
            (context, stop - start, [_on(context, array[rows]) for array in arrays])
            for context, start, stop in zip(self.contexts, bounds, bounds[1:])
            for rows in [slice(start, stop) if stop > start else slice(1)]
        ]


def inputs_of(train_step: Any, batch: Batch, ctx: Context) -> List[NDArray]:
    """Returns the arrays of a Batch that a TrainStep is called with, on the device."""
    return [_on(ctx, batch.array(name)) for name in train_step.INPUTS]


def _on(ctx: Context, array: Any) -> NDArray:
    return mx.nd.array(array, ctx=ctx, dtype=array.dtype)

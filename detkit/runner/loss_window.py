"""The losses of the steps since they were last looked at."""

import os

import mxnet as mx
import numpy as np

from detkit.errors import TrainingError


class LossWindow:
    """Keeps each step's losses on the device until somebody asks: asking waits for the device."""

    def __init__(self, loader, work_dir):
        self._loader = loader
        self._work_dir = work_dir
        self._steps = []

    def add(self, progress, losses, image_ids):
        """Keep the losses {name: (1,)} of the step that led to ``progress``."""
        self._steps.append((progress, losses, image_ids))

    def __len__(self):
        return len(self._steps)

    def read(self):
        """{name: mean}, ``loss`` (their sum) first, and start anew; {} without any step.

        Raises TrainingError at the first step whose losses are not finite.
        """
        if not self._steps:
            return {}
        names = list(self._steps[0][1])
        steps = [mx.nd.concat(*losses.values(), dim=0) for _, losses, _ in self._steps]
        values = mx.nd.stack(*steps).asnumpy()
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            self._stop(names[column], values[row, column], *self._steps[row][::2])
        self._steps = []
        means = dict(zip(names, values.mean(axis=0).tolist()))
        return {"loss": sum(means.values()), **means}

    def _stop(self, name, value, progress, image_ids):
        step, epoch, batch = progress
        path = os.path.join(self._work_dir, f"not_finite_step_{step}.npz")
        try:
            # Loading depends on (seed, epoch, batch) alone, so no batch need be kept until now.
            again = next(self._loader.batches(epoch, batch - 1))._asdict()
            known = {name: value for name, value in again.items() if value is not None}
            np.savez_compressed(path, **known)
            saved = f"the batch is saved in {path}"
        except OSError as error:
            saved = f"the batch could not be saved in {path}: {error.strerror}"
        raise TrainingError(
            f"the loss {name} is {value} at step {step} (epoch {epoch + 1}, batch {batch}), images "
            f"{', '.join(map(str, image_ids))}; expected a finite number. {saved}; checkpoints, "
            "where there are any, are from before. A lower train.lr, a longer warm-up or "
            "train.clip_norm may help"
        )

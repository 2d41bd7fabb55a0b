"""The losses of the steps since they were last read."""

import os
from typing import Any, Dict, List, NamedTuple, Sequence

import mxnet as mx
import numpy as np

from detkit.checkpoints import Progress
from detkit.data.loader import Loader
from detkit.errors import TrainingError
from detkit.typing import NDArray


class _Step(NamedTuple):
    """The progress that a step led to, its losses {name: (1,)}, and the ids of its images."""

    progress: Progress
    losses: Dict[str, NDArray]
    image_ids: Sequence[Any]


class LossWindow:
    """The losses of each step, kept on the device until they are read.

    loader, work_dir: the Loader that loads the batch of a loss that is not finite once more, and
    the folder that the batch is saved in.
    """

    def __init__(self, loader: Loader, work_dir: str):
        self._loader = loader
        self._work_dir = work_dir
        self._steps: List[_Step] = []

    def add(self, progress: Progress, losses: Dict[str, NDArray], image_ids: Sequence[Any]) -> None:
        """Keeps the losses {name: (1,)} of the step that led to ``progress``."""
        self._steps.append(_Step(progress, losses, image_ids))

    def wait(self, before: int = 0) -> None:
        """Waits until the losses of the last step are computed, and copies nothing.

        before: 1 waits for the losses of the step before the last, and so on. Steps that were read
            are computed.
        """
        step = self._steps[-1 - before] if len(self._steps) > before else None
        for loss in step.losses.values() if step else ():
            loss.wait_to_read()

    def __len__(self) -> int:
        return len(self._steps)

    def read(self) -> Dict[str, float]:
        """Returns {name: mean}, with ``loss`` (their sum) first, and forgets the steps.

        Waits for the device. Returns {} if there is no step. Raises TrainingError for the first
        step whose losses are not finite.
        """
        if not self._steps:
            return {}
        names = list(self._steps[0].losses)
        steps = [mx.nd.concat(*step.losses.values(), dim=0) for step in self._steps]
        values = mx.nd.stack(*steps).asnumpy()
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            self._stop(names[column], values[row, column], self._steps[row])
        self._steps = []
        means = dict(zip(names, values.mean(axis=0).tolist()))
        return {"loss": sum(means.values()), **means}

    def _stop(self, name: str, value: float, faulty: _Step) -> None:
        step, epoch, batch = faulty.progress
        path = os.path.join(self._work_dir, f"not_finite_step_{step}.npz")
        try:
            # Loading depends on (seed, epoch, batch) alone, so no batch need be kept until now.
            again = next(self._loader.batches(epoch, batch - 1))._asdict()
            arrays = {name: value for name, value in again.items() if value is not None}
            np.savez_compressed(path, **arrays)
            saved = f"the batch is saved in {path}"
        except OSError as error:
            saved = f"the batch could not be saved in {path}: {error.strerror}"
        raise TrainingError(
            f"step {step} (epoch {epoch + 1}, batch {batch}), images "
            f"{', '.join(map(str, faulty.image_ids))}: expected finite losses, found {name} = "
            f"{value}; {saved}. Checkpoints that exist were saved before this step. A lower "
            "train.lr, a longer warm-up or train.clip_norm may help"
        )

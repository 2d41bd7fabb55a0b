"""Lengths in steps or in epochs: of a run, and between two of its evaluations or checkpoints."""

from dataclasses import dataclass
from typing import Optional, Union

from detkit.checkpoints import Progress
from detkit.construct import construct


@dataclass(frozen=True)
class Interval:
    """A number of training steps or a number of epochs; exactly one of the two is given.

    A step is one batch, however many steps make an update of the weights (``train.accumulate``).

    Raises ValueError unless there is exactly one number and it is at least 1.
    """

    steps: Optional[int] = None
    epochs: Optional[int] = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            found = "neither" if self.steps is None else "both"
            raise ValueError(f"expected either steps or epochs, found {found}")
        for name in ("steps", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected at least 1, found {value}")

    def is_due(self, progress: Progress) -> bool:
        """Returns whether a multiple of the interval has just ended.

        It is true once for each multiple. A step ends when its batch is counted, and an epoch ends
        when the next epoch begins, at its batch 0.
        """
        if self.steps is not None:
            return progress.batch > 0 and progress.step % self.steps == 0
        return progress.batch == 0 and progress.epoch > 0 and progress.epoch % self._in_epochs == 0

    def reached(self, progress: Progress) -> bool:
        """Returns whether a run of this length has ended; an epoch has when the next one begins."""
        if self.steps is not None:
            return progress.step >= self.steps
        return progress.epoch >= self._in_epochs

    def is_last_step(self, progress: Progress, steps_per_epoch: int) -> bool:
        """Returns whether the step that led to ``progress`` is the last of a run of this length."""
        if self.steps is not None:
            return progress.step >= self.steps
        return progress.epoch + progress.batch // steps_per_epoch >= self._in_epochs

    def share(self, step: int, epoch: float) -> float:
        """Returns the part of a run of this length that was made, in [0, 1]."""
        return step / self.steps if self.steps is not None else epoch / self._in_epochs

    def total_steps(self, steps_per_epoch: int) -> int:
        """Returns the number of steps of a run of this length."""
        return self.steps if self.steps is not None else self._in_epochs * steps_per_epoch

    @property
    def _in_epochs(self) -> int:
        assert self.epochs is not None  # __post_init__ refuses an Interval without a number
        return self.epochs


def read_interval(value: Union[int, dict]) -> Interval:
    """Returns the Interval of a config: a number of epochs, ``{epochs: N}`` or ``{steps: N}``.

    Raises ConfigError with the place of a mapping that is none of these.
    """
    return construct(Interval, value) if isinstance(value, dict) else Interval(epochs=value)

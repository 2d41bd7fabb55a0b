"""Lengths in steps or in epochs: of a run, and between two of its evaluations or checkpoints."""

from dataclasses import dataclass
from typing import Optional

from detkit.registry import construct


@dataclass(frozen=True)
class Interval:
    """A number of training steps or a number of epochs; exactly one of them is given.

    A step is one batch, however many steps make an update of the weights (``train.accumulate``).
    Raises ValueError unless there is one number of at least 1.
    """

    steps: Optional[int] = None
    epochs: Optional[int] = None

    def __post_init__(self):
        check_one_unit(steps=self.steps, epochs=self.epochs)
        for name in ("steps", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")

    def is_due(self, progress):
        """Whether a multiple of the interval has just ended.

        It is true once for each multiple: steps end where the batch is counted, and epochs end
        where the next epoch begins, at its batch 0.
        """
        if self.steps is not None:
            return progress.batch > 0 and progress.step % self.steps == 0
        return progress.batch == 0 and progress.epoch > 0 and progress.epoch % self.epochs == 0

    def reached(self, progress):
        """Whether a run of this length has made its last step."""
        if self.steps is not None:
            return progress.step >= self.steps
        return progress.epoch >= self.epochs

    def total_steps(self, steps_per_epoch):
        """The number of steps of a run of this length."""
        return self.steps if self.steps is not None else self.epochs * steps_per_epoch


def read_interval(value):
    """The Interval that a config gives: a number of epochs, ``{epochs: N}`` or ``{steps: N}``.

    Raises ConfigError with the place of a mapping that is none of these.
    """
    return construct(Interval, value) if isinstance(value, dict) else Interval(epochs=value)


def check_one_unit(steps, epochs):
    """Raise ValueError unless one of the two is given."""
    if (steps is None) == (epochs is None):
        found = "neither" if steps is None else "both"
        raise ValueError(f"expected either steps or epochs, found {found}")

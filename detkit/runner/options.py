"""The section ``train`` of a config, checked."""

import math
from dataclasses import dataclass, field
from typing import Literal, Optional, Sequence, Union

from detkit.runner.intervals import Interval


@dataclass(frozen=True)
class TrainOptions:
    """How long and how a detector is trained.

    epochs, steps: the length of the run, in one of the two; the other is null.
    batch_size: images per step; accumulate: steps per update of the weights.
    optimizer: what updates the weights, by ``type``: SGD, NAG, Adam or AdamW, with its own
        arguments.
    lr, weight_decay: of every optimizer; the schedule multiplies lr.
    momentum: of SGD and NAG; null: theirs, 0.9.
    schedule: factors of lr over time.
    clip_norm: gradients are scaled down to this L2 norm over all weights; null: never.
    start_from: a checkpoint's folder whose weights a new run begins with, but for those of another
        shape: the last layers of other classes.
    multipliers: ``{match, lr, decay}`` each, factors for the weights whose name matches a regular
        expression.
    log_every: steps between two looks at the losses, the only moments the loop waits for.
    evaluate_every: the interval between two evaluations: a number of epochs, {epochs: N} or
        {steps: N}. The end of the run is always evaluated.
    checkpoint_every: the interval between two checkpoints, written likewise. Each evaluation and
        the end of the run are saved as well.
    keep: how many of the latest checkpoints are kept, beside the best.
    pictures: how many validation images are drawn with their detections after an evaluation.
    hooks: more hooks, by ``type``, called after those of detkit.
    device: "auto" (a GPU where MXNet has one), "cpu" or "gpu".
    """

    batch_size: int
    lr: float
    schedule: dict
    epochs: Optional[int] = None
    steps: Optional[int] = None
    optimizer: dict = field(default_factory=lambda: {"type": "SGD"})
    momentum: Optional[float] = None
    weight_decay: float = 5e-4
    accumulate: int = 1
    clip_norm: Optional[float] = None
    start_from: Optional[str] = None
    multipliers: Sequence[dict] = ()
    log_every: int = 20
    evaluate_every: Union[int, dict] = 1
    checkpoint_every: Union[int, dict] = 1
    keep: int = 2
    pictures: int = 6
    device: Literal["auto", "cpu", "gpu"] = "auto"
    hooks: Sequence[dict] = ()

    def __post_init__(self):
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.steps is None else f"both, {self.epochs} and {self.steps}"
            raise ValueError(
                f"expected either train.epochs or train.steps, found {found}; set one of them to a "
                "number and the other to null"
            )
        whole = ("epochs", "steps", "batch_size", "accumulate", "log_every", "keep")
        for name in (*whole, "evaluate_every", "checkpoint_every"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        for name in ("weight_decay", "pictures"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is at least 0, not {getattr(self, name)}")
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} is a number above 0, not {value}")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is at least 0 and below 1, not {self.momentum}")

    @property
    def length(self):
        """The Interval after which the run ends."""
        return Interval(self.steps, self.epochs)

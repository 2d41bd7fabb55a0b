"""The section ``train`` of a config, checked."""

import math
from dataclasses import dataclass, field
from typing import Literal, Optional, Sequence, Union

from detkit.runner.intervals import Interval
from detkit.runner.time_budget import Length, TimeBudget, read_duration
from detkit.threshold import parse_rule


@dataclass(frozen=True)
class TrainOptions:
    """The length of a training and its settings.

    epochs, steps: the length of the run, in one of the two; the other is null.
    time: the length of the run as a time that includes the final evaluation: "45m", "1h30m"; both
        of the others may then be null, or one of them says when the run ends at the latest.
    batch_size: images per step.
    accumulate: steps per update of the weights. The last update of a run takes the steps that are
        left.
    optimizer: the optimizer by ``type``: SGD, NAG, Adam or AdamW, with its own arguments.
    lr, weight_decay: the learning rate and the weight decay of every optimizer; the schedule
        multiplies lr.
    momentum: the momentum of SGD and NAG; null: their default, 0.9.
    schedule: the schedule by ``type``, which gives the factor of lr over the run.
    clip_norm: gradients are scaled down to this L2 norm over all weights; null: never.
    ema: the decay of the average of the weights that is evaluated and saved, such as 0.9998, see
        Average; 0: there is no average, and the weights themselves are.
    start_from: the folder of a checkpoint whose weights a new run begins with, except weights of
        another shape: the last layers for other classes. Or {part: folder}, which takes only the
        weights of these parts of the detector.
    freeze: a list of parts of the detector that are not trained, or {part: interval}: a number of
        epochs, {epochs: N}, {steps: N}, or null for the whole run; null: none. See Freezing.
    multipliers: a list of ``{match, lr, decay}``, factors for the weights whose name matches a
        regular expression.
    layer_decay: the factor of the learning rate from each layer of the backbone to the one before
        it, in (0, 1], see layer_factors; it multiplies with those of ``multipliers``. 1: none.
    log_every: steps between two reports of the losses. The loop waits for the device only then.
    evaluate_every: the interval between two evaluations: a number of epochs, {epochs: N} or
        {steps: N}. The end of the run is always evaluated.
    val_loss: whether each evaluation also computes the losses over the validation images, which
        takes a second pass over them.
    threshold: the rule by which each evaluation chooses the least score of what the detector
        returns, which its checkpoint then holds: "f1", "precision=P" or "recall=R"; null: none is
        chosen.
    checkpoint_every: the interval between two checkpoints, in the same notation. Each evaluation
        and the end of the run are saved as well.
    keep: the number of the latest checkpoints that are kept, beside the best.
    patience: the number of evaluations without a better main metric after which the run ends; null:
        it does not end early.
    pictures: the number of validation images that are drawn with their detections after each
        evaluation.
    batch_pictures: the number of first batches of the run that are drawn as the network gets them;
        0: none.
    hooks: further hooks by ``type``, called after detkit's own.
    device: "auto" (a GPU if MXNet has one), "cpu", "gpu", or a certain one such as "gpu:1"; or a
        list of devices, which share each batch: the batch size is that of all together.
    precision: "fp32", or "bf16": convolutions multiply in bfloat16 on a CPU that has it, also in
        the evaluations of the run. Weights, sums and the gradients of the weights stay float32.
        "auto" is "bf16" on such a CPU and "fp32" elsewhere.

    Raises ValueError, beginning with the argument's name, for a number out of its range.
    """

    batch_size: int
    lr: float
    schedule: dict
    epochs: Optional[int] = None
    steps: Optional[int] = None
    time: Optional[str] = None
    optimizer: dict = field(default_factory=lambda: {"type": "SGD"})
    momentum: Optional[float] = None
    weight_decay: float = 5e-4
    accumulate: int = 1
    clip_norm: Optional[float] = None
    ema: float = 0.0
    start_from: Optional[Union[str, dict]] = None
    freeze: Optional[Union[Sequence[str], dict]] = None
    multipliers: Sequence[dict] = ()
    layer_decay: float = 1.0
    log_every: int = 20
    evaluate_every: Union[int, dict] = 1
    val_loss: bool = False
    threshold: Optional[str] = None
    checkpoint_every: Union[int, dict] = 1
    keep: int = 2
    patience: Optional[int] = None
    pictures: int = 6
    batch_pictures: int = 2
    device: Union[str, Sequence[str]] = "auto"
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    hooks: Sequence[dict] = ()

    def __post_init__(self) -> None:
        self._check_length()
        whole = ("epochs", "steps", "batch_size", "accumulate", "log_every", "keep", "patience")
        for name in (*whole, "evaluate_every", "checkpoint_every"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name}: expected at least 1, found {value}")
        for name in ("weight_decay", "pictures", "batch_pictures"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected at least 0, found {getattr(self, name)}")
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, found {value}")
        for name in ("momentum", "ema"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name}: expected at least 0 and below 1, found {value}")

        if not 0 < self.layer_decay <= 1:
            raise ValueError(
                f"layer_decay: expected a number above 0, at most 1, found {self.layer_decay}"
            )
        if self.threshold is not None:
            try:
                parse_rule(self.threshold)
            except ValueError as error:
                raise ValueError(f"threshold: {error}") from error

    def _check_length(self) -> None:
        if self.time is not None:
            try:
                read_duration(self.time)
            except ValueError as error:
                raise ValueError(f"time: {error}") from error
        given = [value for value in (self.epochs, self.steps) if value is not None]
        if len(given) == 2 or not (given or self.time):
            found = f"both, {self.epochs} and {self.steps}" if given else "neither"
            raise ValueError(
                f"expected either train.epochs or train.steps, found {found}; set one of them to a "
                "number and the other to null, or train.time to a duration"
            )

    @property
    def length(self) -> Length:
        """The Interval after which the run ends, or a new TimeBudget."""
        if self.time is None:
            return Interval(self.steps, self.epochs)
        limited = self.steps is not None or self.epochs is not None
        most = Interval(self.steps, self.epochs) if limited else None
        return TimeBudget(read_duration(self.time), most)

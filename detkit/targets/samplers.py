"""Samplers, which choose the assigned boxes that are trained on.

The attribute ``size`` of a sampler is the largest number of boxes that it draws from an image; None
without a limit. The attribute ``needs``, if there is one, names the arrays, of IOU, LOSS and BOX,
that a sampler is called with after the labels.
"""

from typing import Tuple

from mxnet.gluon import HybridBlock

from detkit.registry import SAMPLERS
from detkit.targets.assigners import IGNORED, NEGATIVE, POSITIVE
from detkit.typing import Namespace, Tensor

IOU = "iou"  # (B, N): IoU with the matched object, 0 without one
BOX = "box"  # (B, N, 4): the boxes in pixels; of RoIs only
LOSS = "loss"  # (B, N): class and box loss together, before the step; of RoIs only

# Each candidate gets a random priority in [-1, 0), and the largest priorities are sampled.
POSITIVES_FIRST, NEVER = 1.0, -1e30  # above and below every priority, however it is biased
RADIX = 1024  # of the digits of a column: its square is more than the anchors of an image
LATE = 1e20  # times a number in [-2, -1): below every biased priority of a negative, above NEVER


@SAMPLERS.register()
class RandomSampler(HybridBlock):
    """A random sample of the boxes of each image (Ren et al. 2015, section 3.1.3).

    If there are too few positive boxes, negative ones fill the sample. If there are too few of
    these as well, the sample is smaller: no box is drawn twice.

    size: the largest number of boxes in the sample of an image.
    positive_share: the largest share of positive boxes in it, in [0, 1].
    fill_up: whether further positive boxes fill the sample if there are too few negative ones. The
        share of positive boxes may then be larger.
    """

    def __init__(self, size: int = 256, positive_share: float = 0.5, fill_up: bool = False) -> None:
        super().__init__()
        check_size(size)
        if not 0 <= positive_share <= 1:
            raise ValueError(f"positive_share: expected a number in [0, 1], found {positive_share}")
        self.size = size
        self._first, self._fill_up = round(size * positive_share), fill_up
        self.max_positive = size if fill_up else self._first

    def hybrid_forward(self, F: Namespace, labels: Tensor, *given: Tensor) -> Tensor:
        """Returns labels (B, N) of 1, 0, -1, of which those that are not drawn are set to -1."""
        priority = _priorities(F, labels) - 1
        positive, negative = labels == POSITIVE, labels == NEGATIVE
        first = _highest(F, positive, priority, self._first)
        # The positives that were drawn come first, so that negatives fill the rest of the sample.
        biased = self._bias(F, negative, priority, *given)
        if self._fill_up:  # and the other positives what these leave
            biased = F.where(positive, (priority - 1) * LATE, biased)
        members = negative + (positive if self._fill_up else first)
        priority = F.where(first, F.ones_like(priority) * POSITIVES_FIRST, biased)
        drawn = _highest(F, members, priority, self.size)
        return F.where(drawn, labels, F.ones_like(labels) * IGNORED)

    def _bias(self, F: Namespace, negative: Tensor, priority: Tensor, *given: Tensor) -> Tensor:
        """Returns the priorities (B, N), below 0, changed so that some negatives are preferred."""
        return priority


def _priorities(F: Namespace, labels: Tensor) -> Tensor:
    """Returns random numbers (B, N) in [0, 1), the same for each image of labels (B, N).

    The number of a column depends on the column alone, not on B or N. Devices that share a batch
    and draw from the same seed therefore choose the samples that one device would choose. The
    numbers are made by tabulation hashing (Carter and Wegman 1979): one drawn number for each digit
    of the column, added modulo 1, which makes any three columns independent.
    """
    column = F.contrib.arange_like(labels, axis=1)
    high = F.floor(column / RADIX)
    low = column - high * RADIX
    # Like a part of the labels, so that the numbers are drawn on their device.
    row = F.repeat(F.slice(labels, begin=(0, 0), end=(1, 1)), repeats=RADIX, axis=1)
    digits = [F.reshape(F.random.uniform_like(row), shape=(-1,)) for _ in range(2)]
    total = F.take(digits[0], low) + F.take(digits[1], high, mode="wrap")
    return F.broadcast_like(F.expand_dims(total - F.floor(total), axis=0), labels)


def needs_of(sampler: HybridBlock) -> Tuple[str, ...]:
    """Returns the names of the arrays that ``sampler`` is called with after the labels."""
    return tuple(getattr(sampler, "needs", ()))


def check_size(size: int) -> None:
    """Raises ValueError unless a sample of ``size`` boxes is possible."""
    if size < 1:
        raise ValueError(f"size: expected at least 1, found {size}")


def _highest(F: Namespace, members: Tensor, priority: Tensor, count: int) -> Tensor:
    """Returns 1 for the ``count`` members of the highest priority, never more of them, else 0.

    members (B, N) are 0 or 1, priority (B, N).
    """
    if count == 0:
        return F.zeros_like(members)
    priority = F.where(members, priority, F.ones_like(priority) * NEVER)
    # topk refuses a k above the number of columns: ``count`` columns more are always enough.
    column = F.slice_axis(priority, axis=1, begin=0, end=1) * 0 + NEVER
    spare = F.repeat(column, repeats=count, axis=1)
    chosen = F.topk(F.concat(priority, spare, dim=1), axis=1, k=count, ret_typ="mask")
    return members * F.slice_axis(chosen, axis=1, begin=0, end=-count)

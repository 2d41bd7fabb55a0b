"""Samplers: which of the assigned boxes are trained on.

``size``: how many that is at most in an image; None without a limit. ``needs``: what a sampler is
called with after the labels, of IOU, LOSS and BOX; nothing where a sampler does not say it.
"""

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import SAMPLERS
from detkit.targets.assigners import IGNORED, NEGATIVE, POSITIVE

IOU = "iou"  # (B, N): with the object the box was matched with, 0 without one
BOX = "box"  # (B, N, 4), pixels; of RoIs only
LOSS = "loss"  # (B, N): class and box loss together, before the step; of RoIs only

# Each candidate gets a random priority in [-1, 0), and the largest priorities are sampled.
POSITIVES_FIRST, NEVER = 1.0, -1e30  # above and below every priority, however it is biased


@SAMPLERS.register()
class RandomSampler(HybridBlock):
    """At most ``size`` boxes of each image, at most a share of them positive, drawn at random.

    Where positives are few, negatives fill up (Ren et al. 2015, section 3.1.3); where those are
    few as well, the sample is smaller: nothing is drawn twice.
    """

    def __init__(self, size: int = 256, positive_share: float = 0.5):
        super().__init__()
        if size < 1 or not 0 <= positive_share <= 1:
            raise ValueError("size is at least 1 and positive_share between 0 and 1")
        self.size = size
        self.max_positive = round(size * positive_share)

    def hybrid_forward(self, F, labels, *given):
        """labels (B, N) 1, 0, -1 -> the same, with all that were not drawn set to -1."""
        priority = F.random.uniform_like(labels) - 1
        positive = _highest(F, labels == POSITIVE, priority, self.max_positive)
        # The positives that were drawn come first, so that negatives fill the rest of the sample.
        negative = labels == NEGATIVE
        biased = self._bias(F, negative, priority, *given)
        priority = F.where(positive, F.ones_like(priority) * POSITIVES_FIRST, biased)
        drawn = _highest(F, positive + negative, priority, self.size)
        return F.where(drawn, labels, F.ones_like(labels) * IGNORED)

    def _bias(self, F, negative, priority):
        """Returns the priorities (B, N), below 0, changed so that some negatives are preferred."""
        return priority


@SAMPLERS.register()
class IoUBalancedSampler(RandomSampler):
    """RandomSampler with the negatives spread evenly over ``bins`` of IoU.

    The bins divide the IoUs from 0 to the image's largest of a negative. Where n are to be drawn,
    each of the M in a bin is drawn with probability n / (bins * M) (Pang et al. 2019, Libra R-CNN,
    section 3.1); a bin with too few gives all, and the others fill up.
    """

    needs = (IOU,)

    def __init__(self, size: int = 512, positive_share: float = 0.25, bins: int = 3):
        super().__init__(size, positive_share)
        if bins < 1:
            raise ValueError(f"bins is at least 1, but here it is {bins}")
        self._bins = bins

    def _bias(self, F, negative, priority, iou):
        # Multiplying by the size M of a bin equalises the expected number drawn from each bin: of M
        # priorities, uniform in [-M, 0), t lie above -t on average, whatever M is.
        iou = iou * negative
        largest = F.maximum(F.max(iou, axis=1, keepdims=True), 1e-9)
        position = F.minimum(F.floor(F.broadcast_div(iou, largest) * self._bins), self._bins - 1)
        bin_size = F.zeros_like(priority)
        for bin_number in range(self._bins):
            inside = (position == bin_number) * negative
            count = F.sum(inside, axis=1, keepdims=True)
            bin_size = bin_size + F.broadcast_mul(inside, count)
        return priority * bin_size


@SAMPLERS.register()
class OHEM(HybridBlock):
    """Online hard example mining: the ``size`` RoIs of largest loss (Shrivastava et al. 2016).

    It needs no share of positives. Of RoIs that overlap by more than ``iou`` only that of the
    largest loss counts, as theirs are nearly the same (section 4.1).
    """

    needs = (LOSS, BOX)

    def __init__(self, size: int = 128, iou: float = 0.7):
        super().__init__()
        if size < 1 or not 0 < iou <= 1:
            raise ValueError("size is at least 1 and iou is in (0, 1]")
        self.size = size
        self._iou = iou

    def hybrid_forward(self, F, labels, losses, boxes):
        """labels (B, N), losses (B, N), boxes (B, N, 4) -> labels, those not drawn set to -1."""
        unsampled = F.ones_like(labels) * IGNORED
        losses = F.where(labels == IGNORED, unsampled, losses)  # no score for NMS
        *_, rows = ops.nms(F, boxes, losses, self._iou, top_k_out=self.size)
        rows = F.expand_dims(F.cast(rows, dtype="float32"), axis=1)  # (B, 1, M)
        slots = F.reshape(F.contrib.arange_like(labels, axis=1), shape=(1, -1, 1))
        drawn = F.max(F.broadcast_equal(slots, rows), axis=2)
        return F.where(drawn, labels, unsampled)


@SAMPLERS.register()
class PseudoSampler(HybridBlock):
    """Everything that was assigned, as for a focal loss: no sampling."""

    size = None

    def hybrid_forward(self, F, labels):
        """labels (B, N) as they are."""
        return F.identity(labels)


def needs_of(sampler):
    """What ``sampler`` is called with after the labels."""
    return tuple(getattr(sampler, "needs", ()))


def _highest(F, members, priority, count):
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

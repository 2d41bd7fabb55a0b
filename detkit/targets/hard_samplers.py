"""Samplers that prefer hard examples: by their IoU, or by their loss."""

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import SAMPLERS
from detkit.targets.assigners import IGNORED
from detkit.targets.samplers import BOX, IOU, LOSS, RandomSampler, check_size
from detkit.typing import Namespace, Tensor


@SAMPLERS.register()
class IoUBalancedSampler(RandomSampler):
    """A RandomSampler that spreads the negatives over bins of IoU (Pang et al. 2019, section 3.1).

    The bins divide the range from 0 to the largest IoU of a negative box of the image. If n
    negatives are to be drawn, each of the M in a bin is drawn with probability n / (bins * M). A
    bin with too few negatives gives all of them, and the others fill the sample.

    size, positive_share, fill_up: see RandomSampler.
    bins: the number of bins.
    """

    needs = (IOU,)

    def __init__(
        self, size: int = 512, positive_share: float = 0.25, bins: int = 3, fill_up: bool = False
    ) -> None:
        super().__init__(size, positive_share, fill_up)
        if bins < 1:
            raise ValueError(f"bins: expected at least 1, found {bins}")
        self._bins = bins

    def _bias(self, F: Namespace, negative: Tensor, priority: Tensor, *given: Tensor) -> Tensor:
        # Multiplying by the size M of a bin equalises the expected number drawn from each bin: of M
        # priorities, uniform in [-M, 0), t lie above -t on average, whatever M is.
        (iou,) = given
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
    """Online hard example mining: the RoIs of the largest loss (Shrivastava et al. 2016).

    It needs no share of positives.

    size: the largest number of RoIs in the sample of an image.
    iou: in (0, 1]. Of RoIs that overlap by more than this, only the one of the largest loss is a
        candidate, because their losses are nearly the same (section 4.1).
    """

    needs = (LOSS, BOX)

    def __init__(self, size: int = 128, iou: float = 0.7) -> None:
        super().__init__()
        check_size(size)
        if not 0 < iou <= 1:
            raise ValueError(f"iou: expected a number in (0, 1], found {iou}")
        self.size = size
        self._iou = iou

    def hybrid_forward(self, F: Namespace, labels: Tensor, losses: Tensor, boxes: Tensor) -> Tensor:
        """Returns the labels (B, N), of which those that are not drawn are set to -1.

        labels (B, N) of 1, 0, -1; losses (B, N); boxes (B, N, 4).
        """
        unsampled = F.ones_like(labels) * IGNORED
        losses = F.where(labels == IGNORED, unsampled, losses)  # NMS drops scores below 0
        *_, rows = ops.nms(F, boxes, losses, self._iou, top_k_out=self.size)
        rows = F.expand_dims(F.cast(rows, dtype="float32"), axis=1)  # (B, 1, M)
        slots = F.reshape(F.contrib.arange_like(labels, axis=1), shape=(1, -1, 1))
        drawn = F.max(F.broadcast_equal(slots, rows), axis=2)
        return F.where(drawn, labels, unsampled)

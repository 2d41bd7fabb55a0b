"""Samplers: which of the assigned boxes are trained on."""

from mxnet.gluon import HybridBlock

from detkit.registry import SAMPLERS
from detkit.targets.assigners import IGNORED, NEGATIVE, POSITIVE


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
        self._max_positive = round(size * positive_share)

    def hybrid_forward(self, F, labels):
        """labels (B, N) 1, 0, -1 -> the same, with all that were not drawn set to -1."""
        lottery = F.random.uniform_like(labels)
        positive = _draw(F, labels == POSITIVE, lottery, self._max_positive)
        room = self.size - F.sum(positive, axis=1, keepdims=True)
        negative = _draw(F, labels == NEGATIVE, lottery, room)
        return positive * POSITIVE + (1 - positive - negative) * IGNORED


def _draw(F, members, lottery, count):
    """1 for the ``count`` (scalar or (B, 1)) members (B, N) with the highest lots."""
    ranks = F.argsort(
        F.argsort(F.where(members, lottery, lottery - 2), axis=1, is_ascend=False), axis=1
    )
    chosen = ranks < count if isinstance(count, int) else F.broadcast_lesser(ranks, count)
    return members * chosen

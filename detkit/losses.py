"""Losses, element by element: the normaliser is chosen where they are summed (train_step.py)."""

from mxnet.gluon import HybridBlock

from detkit.registry import LOSSES


@LOSSES.register()
class SmoothL1(HybridBlock):
    """Quadratic up to ``beta``, linear beyond (Girshick 2015, section 2.3); 0: plain L1.

    beta = 1 / sigma^2 of the older code bases: 1/9 is py-faster-rcnn's RPN, 1 its RoI head.
    """

    def __init__(self, beta: float = 1.0):
        super().__init__()
        if beta < 0:
            raise ValueError(f"beta is not negative, but here it is {beta}")
        self._beta = beta

    def hybrid_forward(self, F, predicted, target):
        """The loss of every element of predicted and target, of one shape."""
        distance = F.abs(predicted - target)
        if self._beta == 0:
            return distance
        near = distance * distance * (0.5 / self._beta)
        return F.where(distance < self._beta, near, distance - 0.5 * self._beta)


def binary_cross_entropy(F, logits, labels):
    """-log of the probability that sigmoid(logits) gives labels 0 or 1; any one shape."""
    return F.Activation(logits, act_type="softrelu") - logits * labels


def cross_entropy(F, logits, labels):
    """-log of the probability that softmax(logits (M, K)) gives labels (M,) in 0..K-1: (M,)."""
    return -F.pick(F.log_softmax(logits, axis=1), labels, axis=1)

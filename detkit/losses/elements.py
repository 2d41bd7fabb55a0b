"""Losses of single rows and elements; what they are divided by is the matter of losses/heads.py.

The attribute ``compares`` of a loss says what it is called with. A loss without it compares DELTAS.
"""

from typing import Sequence

from mxnet.gluon import HybridBlock

from detkit.registry import LOSSES
from detkit.typing import Namespace, Tensor

DELTAS = "deltas"  # predicted deltas (..., 4), target deltas (..., 4) -> (..., 4)
BOXES = "boxes"  # predicted boxes (..., 4) in pixels, target boxes (..., 4) -> (..., 1)
LABELS = "labels"  # logits (M, L), labels (M,) in 0..L-1 -> (M,)
BINARY = "binary"  # logits, targets 0 or 1 of the same shape -> the same shape


@LOSSES.register()
class L1(HybridBlock):
    """The absolute difference."""

    compares = DELTAS

    def hybrid_forward(self, F: Namespace, predicted: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of every element of predicted and target, of one shape."""
        return F.abs(predicted - target)


@LOSSES.register()
class SmoothL1(HybridBlock):
    """A loss that is quadratic below ``beta`` and linear above (Girshick 2015, section 2.3).

    beta: at least 0; with 0 it is L1. Older code bases have beta = 1 / sigma^2: 1/9 in the RPN of
        py-faster-rcnn, 1 in its RoI head.
    """

    compares = DELTAS

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if beta < 0:
            raise ValueError(f"beta: expected at least 0, found {beta}")
        self._beta = beta

    def hybrid_forward(self, F: Namespace, predicted: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of every element of predicted and target, of one shape."""
        distance = F.abs(predicted - target)
        if self._beta == 0:
            return distance
        near = distance * distance * (0.5 / self._beta)
        return F.where(distance < self._beta, near, distance - 0.5 * self._beta)


@LOSSES.register()
class SigmoidBCE(HybridBlock):
    """The binary cross entropy of sigmoid(logit)."""

    compares = BINARY

    def hybrid_forward(self, F: Namespace, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of every logit; target has the same shape and holds 0 or 1."""
        return binary_cross_entropy(F, logits, target)


@LOSSES.register()
class CrossEntropy(HybridBlock):
    """The cross entropy of softmax(logits).

    weights: a factor, at least 0, for the rows of each label, that of the background first. Without
        weights, every factor is 1.
    """

    compares = LABELS

    def __init__(self, weights: Sequence[float] = ()) -> None:
        super().__init__()
        check_weights("weights", weights)
        self.weights = tuple(weights)

    def hybrid_forward(self, F: Namespace, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the losses (M,) of logits (M, L) and labels (M,) in 0..L-1."""
        losses = cross_entropy(F, logits, labels)
        return weighted(losses, labels, self.weights) if self.weights else losses


def compared_by(loss: HybridBlock) -> str:
    """Returns what ``loss``, a block or its class, compares: DELTAS, BOXES, LABELS or BINARY."""
    return getattr(loss, "compares", DELTAS)


def check_weights(key: str, weights: Sequence[float]) -> None:
    """Raises ValueError, which begins with ``key``, unless all weights are at least 0."""
    if any(weight < 0 for weight in weights):
        raise ValueError(f"{key}: expected numbers of at least 0, found {list(weights)}")


def weighted(losses: Tensor, labels: Tensor, weights: Sequence[float]) -> Tensor:
    """Returns losses (M,), each times the weight of its label (M,) in 0..L-1; there are L."""
    return losses * sum((labels == k) * weight for k, weight in enumerate(weights))


def binary_cross_entropy(F: Namespace, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns -log of the probability that sigmoid(logits) gives to labels of 0 or 1; any shape."""
    return F.Activation(logits, act_type="softrelu") - logits * labels


def cross_entropy(F: Namespace, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns -log of the probability (M,) that softmax(logits (M, K)) gives to labels (M,)."""
    return -F.pick(F.log_softmax(logits, axis=1), labels, axis=1)

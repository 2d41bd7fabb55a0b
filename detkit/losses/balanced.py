"""Losses that balance easy and hard examples by their gradients."""

import math
from typing import Optional, Sequence, Union

from mxnet.gluon import HybridBlock

from detkit.losses.elements import (
    BINARY,
    DELTAS,
    LABELS,
    check_weights,
    cross_entropy,
    weighted,
)
from detkit.registry import LOSSES
from detkit.typing import Namespace, Tensor

LEAST_DOUBT = 1e-12  # far below the rounding of 1 - p; a power of 0 may have an infinite gradient


@LOSSES.register()
class BalancedL1(HybridBlock):
    """SmoothL1 whose gradient rises faster at differences below 1 (Pang et al. 2019, section 3.3).

    alpha: above 0; the smaller it is, the larger is the gradient of small differences.
    gamma: above 0; the gradient at differences above 1.
    """

    compares = DELTAS

    def __init__(self, alpha: float = 0.5, gamma: float = 1.5) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("gamma", gamma)):
            if value <= 0:
                raise ValueError(f"{name}: expected a number above 0, found {value}")
        self._alpha, self._gamma = alpha, gamma
        self._b = math.expm1(gamma / alpha)  # makes the gradient continuous at 1

    def hybrid_forward(self, F: Namespace, predicted: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of every element of predicted and target, of one shape."""
        alpha, gamma, b = self._alpha, self._gamma, self._b
        distance = F.abs(predicted - target)
        bent = F.minimum(distance, 1) * b + 1
        near = bent * F.log(bent) * (alpha / b) - alpha * distance
        return F.where(distance < 1, near, gamma * distance + (gamma / b - alpha))


@LOSSES.register()
class SigmoidFocal(HybridBlock):
    """SigmoidBCE times (1 - p)^gamma (Lin et al. 2017b, equation 5).

    p is the probability that the logit gives to its target.

    alpha: in [0, 1], the weight of the targets 1; 1 - alpha is that of the targets 0. With null,
        both weights are 1.
    gamma: at least 0; with 0, the loss is that of SigmoidBCE, weighted.
    """

    compares = BINARY

    def __init__(self, alpha: Optional[float] = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        _check_focal(alpha, gamma)
        self._alpha, self._gamma = alpha, gamma

    def hybrid_forward(self, F: Namespace, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of every logit; target has the same shape and holds 0 or 1."""
        # There are so many logits that every array costs time: -log p is softrelu(wrong), and
        # log(1 - p) is wrong minus that. The power is exp(gamma log(1 - p)), because a power of a
        # number that may be 0 has no gradient.
        wrong = F.where(target, -logits, logits)
        losses = F.Activation(wrong, act_type="softrelu")
        losses = losses * F.exp((losses - wrong) * -self._gamma)
        if self._alpha is None:
            return losses
        return F.where(target, losses * self._alpha, losses * (1 - self._alpha))


@LOSSES.register()
class SoftmaxFocal(HybridBlock):
    """CrossEntropy times (1 - p)^gamma: the focal loss of Lin et al. 2017b for a softmax.

    p is the probability that the softmax gives to the label. Detectron's SoftmaxFocalLoss has the
    same form.

    alpha: in [0, 1], the weight of the rows of objects; 1 - alpha is that of the background, the
        label 0. A list has a weight, at least 0, for each label instead, the background's first.
        With null, all weights are 1.
    gamma: at least 0; with 0, the loss is that of CrossEntropy, weighted.
    """

    compares = LABELS

    def __init__(
        self, alpha: Union[float, Sequence[float], None] = 0.25, gamma: float = 2.0
    ) -> None:
        super().__init__()
        single = alpha if alpha is None or isinstance(alpha, (int, float)) else None
        self.weights = tuple(alpha) if isinstance(alpha, (list, tuple)) else ()
        check_weights("alpha", self.weights)
        _check_focal(single, gamma)
        self._alpha, self._gamma = single, gamma

    def hybrid_forward(self, F: Namespace, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the losses (M,) of logits (M, L) and labels (M,) in 0..L-1."""
        losses = cross_entropy(F, logits, labels)
        doubt = F.maximum(-F.expm1(-losses), LEAST_DOUBT)
        losses = losses * doubt**self._gamma
        if self.weights:
            return weighted(losses, labels, self.weights)
        if self._alpha is None:
            return losses
        return F.where(labels > 0, losses * self._alpha, losses * (1 - self._alpha))


def _check_focal(alpha: Optional[float], gamma: float) -> None:
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha: expected a number in [0, 1] or null, found {alpha}")
    if gamma < 0:
        raise ValueError(f"gamma: expected at least 0, found {gamma}")

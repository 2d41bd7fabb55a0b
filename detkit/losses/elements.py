"""Losses, row by row or element by element: what they are divided by is chosen in train_steps/.

``compares`` says what a loss is called with; DELTAS where a loss does not say it.
"""

import math
from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit import boxes
from detkit.registry import LOSSES

DELTAS = "deltas"  # deltas (..., 4), those they should be -> (..., 4)
BOXES = "boxes"  # decoded boxes (..., 4) in pixels, those they should be -> (..., 1)
LABELS = "labels"  # logits (M, L), labels (M,) in 0..L-1 -> (M,)
BINARY = "binary"  # logits, 0 or 1 for each of them -> the same shape

FARTHEST = 1e8  # pixels; beyond, float32 has no number for the square of an area's side
TINY = 1e-6  # pixels and pixels squared; below, a side or an area is none


@LOSSES.register()
class L1(HybridBlock):
    """The distance."""

    compares = DELTAS

    def hybrid_forward(self, F, predicted, target):
        """The loss of every element of predicted and target, of one shape."""
        return F.abs(predicted - target)


@LOSSES.register()
class SmoothL1(HybridBlock):
    """Quadratic up to ``beta``, linear beyond (Girshick 2015, section 2.3); 0: as L1.

    beta = 1 / sigma^2 of the older code bases: 1/9 is py-faster-rcnn's RPN, 1 its RoI head.
    """

    compares = DELTAS

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


@LOSSES.register()
class BalancedL1(HybridBlock):
    """SmoothL1 whose gradient rises faster within a distance of 1 (Pang et al. 2019, section 3.3).

    alpha: the smaller, the more gradient of what is nearly right. gamma: the gradient beyond 1.
    """

    compares = DELTAS

    def __init__(self, alpha: float = 0.5, gamma: float = 1.5):
        super().__init__()
        if alpha <= 0 or gamma <= 0:
            raise ValueError(f"alpha and gamma are positive, but here they are {alpha}, {gamma}")
        self._alpha, self._gamma = alpha, gamma
        self._b = math.expm1(gamma / alpha)  # makes the gradient one piece at 1

    def hybrid_forward(self, F, predicted, target):
        """The loss of every element of predicted and target, of one shape."""
        alpha, gamma, b = self._alpha, self._gamma, self._b
        distance = F.abs(predicted - target)
        bent = F.minimum(distance, 1) * b + 1
        near = bent * F.log(bent) * (alpha / b) - alpha * distance
        return F.where(distance < 1, near, gamma * distance + (gamma / b - alpha))


class _OverlapLoss(HybridBlock):
    """1 - IoU and a penalty, which also moves boxes that do not touch their objects."""

    compares = BOXES

    def hybrid_forward(self, F, predicted, target):
        """The losses (..., 1) of predicted boxes (..., 4), target (..., 4) of the same shape."""
        predicted, target = (F.clip(b, -FARTHEST, FARTHEST) for b in (predicted, target))
        shared, union = boxes.intersection_and_union(F, predicted, target)
        return self._loss(F, predicted, target, shared / F.maximum(union, TINY), union)


@LOSSES.register()
class IoULoss(_OverlapLoss):
    """-log IoU (Yu et al. 2016, UnitBox); or 1 - IoU if ``linear``.

    Without an overlap there is no gradient.
    """

    def __init__(self, linear: bool = False):
        super().__init__()
        self._linear = linear

    def _loss(self, F, predicted, target, iou, union):
        return 1 - iou if self._linear else -F.log(F.maximum(iou, TINY))


@LOSSES.register()
class GIoULoss(_OverlapLoss):
    """1 - IoU + the share of the smallest box around both in neither (Rezatofighi et al. 2019)."""

    def _loss(self, F, predicted, target, iou, union):
        around = boxes.area(F, boxes.enclosing(F, predicted, target))
        return 1 - iou + F.relu(around - union) / F.maximum(around, TINY)


@LOSSES.register()
class DIoULoss(_OverlapLoss):
    """1 - IoU + the squared distance of the centres in diagonals of the smallest box around both.

    Zheng et al. 2020.
    """

    def _loss(self, F, predicted, target, iou, union):
        return 1 - iou + centre_distance(F, predicted, target)


@LOSSES.register()
class CIoULoss(_OverlapLoss):
    """DIoULoss + alpha v, v a distance of the aspect ratios (Zheng et al. 2020)."""

    def _loss(self, F, predicted, target, iou, union):
        angles = []
        for _, _, w, h in (boxes.centre_size(F, b) for b in (predicted, target)):
            angles.append(F.arctan(F.maximum(w, TINY) / F.maximum(h, TINY)))
        v = F.square(angles[0] - angles[1]) * (4 / math.pi**2)
        alpha = F.BlockGrad(v / F.maximum(1 - iou + v, TINY))  # a weight, as in the authors' code
        return 1 - iou + centre_distance(F, predicted, target) + alpha * v


@LOSSES.register()
class SigmoidBCE(HybridBlock):
    """Binary cross entropy of sigmoid(logit)."""

    compares = BINARY

    def hybrid_forward(self, F, logits, target):
        """The loss of every logit; target of the same shape, 0 or 1."""
        return binary_cross_entropy(F, logits, target)


@LOSSES.register()
class SigmoidFocal(HybridBlock):
    """SigmoidBCE times (1 - p)^gamma, p the probability of what is right (Lin et al. 2017, eq. 5).

    alpha: the weight of the ones, 1 - alpha that of the zeros; null: both 1.
    """

    compares = BINARY

    def __init__(self, alpha: Optional[float] = 0.25, gamma: float = 2.0):
        super().__init__()
        if gamma < 0 or (alpha is not None and not 0 <= alpha <= 1):
            raise ValueError(
                "gamma is not negative, and alpha is in [0, 1] or null, but here they are "
                f"{gamma}, {alpha}"
            )
        self._alpha, self._gamma = alpha, gamma

    def hybrid_forward(self, F, logits, target):
        """The loss of every logit; target of the same shape, 0 or 1."""
        # For so many logits every array counts: -log p is softrelu(wrong), -log(1 - p) that less
        # wrong. 1 - p as exp(log(1 - p)): a power of a number that may be 0 has no gradient.
        wrong = F.where(target, -logits, logits)
        losses = F.Activation(wrong, act_type="softrelu")
        losses = losses * F.exp((losses - wrong) * -self._gamma)
        if self._alpha is None:
            return losses
        return F.where(target, losses * self._alpha, losses * (1 - self._alpha))


@LOSSES.register()
class CrossEntropy(HybridBlock):
    """Cross entropy of softmax(logits).

    weights: factor of the rows of each label, the background's first; () for 1 everywhere.
    """

    compares = LABELS

    def __init__(self, weights: Sequence[float] = ()):
        super().__init__()
        if any(weight < 0 for weight in weights):
            raise ValueError(f"weights are not negative, but here they are {list(weights)}")
        self.weights = tuple(weights)

    def hybrid_forward(self, F, logits, labels):
        """Losses (M,) of logits (M, L) and labels (M,) in 0..L-1."""
        losses = cross_entropy(F, logits, labels)
        if not self.weights:
            return losses
        return losses * sum((labels == k) * weight for k, weight in enumerate(self.weights))


def centre_distance(F, predicted, target):
    """The squared distance of the centres of boxes (..., 4), in squared diagonals of the smallest
    box around both: (..., 1)."""
    px, py, _, _ = boxes.centre_size(F, predicted)
    tx, ty, _, _ = boxes.centre_size(F, target)
    _, _, w, h = boxes.centre_size(F, boxes.enclosing(F, predicted, target))
    apart = F.square(px - tx) + F.square(py - ty)
    return apart / F.maximum(F.square(w) + F.square(h), TINY)


def compared_by(loss):
    """What ``loss`` compares: DELTAS, BOXES, LABELS or BINARY."""
    return getattr(loss, "compares", DELTAS)


def binary_cross_entropy(F, logits, labels):
    """-log of the probability that sigmoid(logits) gives labels 0 or 1; any one shape."""
    return F.Activation(logits, act_type="softrelu") - logits * labels


def cross_entropy(F, logits, labels):
    """-log of the probability that softmax(logits (M, K)) gives labels (M,) in 0..K-1: (M,)."""
    return -F.pick(F.log_softmax(logits, axis=1), labels, axis=1)

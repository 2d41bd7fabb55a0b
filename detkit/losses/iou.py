"""Losses of boxes by their IoU, and by what else tells two boxes apart."""

import math

from mxnet.gluon import HybridBlock

from detkit import boxes
from detkit.losses.elements import BOXES
from detkit.registry import LOSSES
from detkit.typing import Namespace, Tensor

FARTHEST = 1e8  # pixels; the area of a box with longer sides has no square in float32
TINY = 1e-6  # pixels and square pixels; the least divisor of a ratio of sides or areas


class _OverlapLoss(HybridBlock):
    """The base of losses that compare boxes by their overlap."""

    compares = BOXES

    def hybrid_forward(self, F: Namespace, predicted: Tensor, target: Tensor) -> Tensor:
        """Returns the losses (..., 1) of predicted and target boxes (..., 4), of one shape."""
        predicted, target = (F.clip(b, -FARTHEST, FARTHEST) for b in (predicted, target))
        intersection, union = boxes.intersection_and_union(F, predicted, target)
        return self._loss(F, predicted, target, intersection / F.maximum(union, TINY), union)

    def _loss(
        self, F: Namespace, predicted: Tensor, target: Tensor, iou: Tensor, union: Tensor
    ) -> Tensor:
        """Returns the losses (..., 1); iou and union are (..., 1) too."""
        raise NotImplementedError


@LOSSES.register()
class IoULoss(_OverlapLoss):
    """-log IoU (Yu et al. 2016, UnitBox), which has no gradient without an overlap.

    linear: whether the loss is 1 - IoU instead.
    """

    def __init__(self, linear: bool = False) -> None:
        super().__init__()
        self._linear = linear

    def _loss(
        self, F: Namespace, predicted: Tensor, target: Tensor, iou: Tensor, union: Tensor
    ) -> Tensor:
        return 1 - iou if self._linear else -F.log(F.maximum(iou, TINY))


@LOSSES.register()
class GIoULoss(_OverlapLoss):
    """1 - IoU, plus the share of the smallest enclosing box that is in neither of the two boxes.

    Rezatofighi et al. 2019. It also moves boxes that do not overlap, as DIoULoss and CIoULoss do.
    """

    def _loss(
        self, F: Namespace, predicted: Tensor, target: Tensor, iou: Tensor, union: Tensor
    ) -> Tensor:
        whole = boxes.area(F, boxes.enclosing(F, predicted, target))
        return 1 - iou + F.relu(whole - union) / F.maximum(whole, TINY)


@LOSSES.register()
class DIoULoss(_OverlapLoss):
    """1 - IoU, plus the centres' squared distance in diagonals of the smallest enclosing box.

    Zheng et al. 2020.
    """

    def _loss(
        self, F: Namespace, predicted: Tensor, target: Tensor, iou: Tensor, union: Tensor
    ) -> Tensor:
        return 1 - iou + centre_distance(F, predicted, target)


@LOSSES.register()
class CIoULoss(_OverlapLoss):
    """DIoULoss plus alpha v, where v measures how the aspect ratios differ (Zheng et al. 2020)."""

    def _loss(
        self, F: Namespace, predicted: Tensor, target: Tensor, iou: Tensor, union: Tensor
    ) -> Tensor:
        angles = []
        for _, _, w, h in (boxes.centre_size(F, b) for b in (predicted, target)):
            angles.append(F.arctan(F.maximum(w, TINY) / F.maximum(h, TINY)))
        v = F.square(angles[0] - angles[1]) * (4 / math.pi**2)
        # The authors' code treats alpha as a weight, without a gradient.
        alpha = F.BlockGrad(v / F.maximum(1 - iou + v, TINY))
        return 1 - iou + centre_distance(F, predicted, target) + alpha * v


def centre_distance(F: Namespace, predicted: Tensor, target: Tensor) -> Tensor:
    """Returns the squared distance (..., 1) of the centres of boxes (..., 4).

    Its unit is the squared diagonal of the smallest box that encloses the two.
    """
    px, py, _, _ = boxes.centre_size(F, predicted)
    tx, ty, _, _ = boxes.centre_size(F, target)
    _, _, w, h = boxes.centre_size(F, boxes.enclosing(F, predicted, target))
    apart = F.square(px - tx) + F.square(py - ty)
    return apart / F.maximum(F.square(w) + F.square(h), TINY)

"""Assigners: which object, if any, each box is responsible for."""

from mxnet.gluon import HybridBlock

from detkit.registry import ASSIGNERS

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


@ASSIGNERS.register()
class MaxIoUAssigner(HybridBlock):
    """By the largest IoU, as Fast and Faster R-CNN do (Ren et al. 2015, section 3.1.2).

    pos_iou: positive from here on. neg_iou: negative below. neg_low: but not below this (0.1 for
    the RoIs of py-faster-rcnn, a crude mining of hard negatives). Between them: ignored.
    best_for_object: the boxes of largest IoU with an object are positive too, however small that
        IoU; each keeps the object it overlaps most, as in torchvision and Detectron2.
    """

    def __init__(
        self,
        pos_iou: float = 0.7,
        neg_iou: float = 0.3,
        neg_low: float = 0.0,
        best_for_object: bool = True,
    ):
        super().__init__()
        if not 0 <= neg_low <= neg_iou <= pos_iou <= 1:
            raise ValueError(
                f"0 <= neg_low <= neg_iou <= pos_iou <= 1 does not hold: "
                f"{neg_low}, {neg_iou}, {pos_iou}"
            )
        self._pos_iou, self._neg_iou, self._neg_low = pos_iou, neg_iou, neg_low
        self._best_for_object = best_for_object

    def hybrid_forward(self, F, iou, candidates):
        """(B, N) labels 1 positive, 0 negative, -1 ignored; (B, N) index of the object.

        iou (B, N, G), negative for objects that are padding; candidates (B, N), 0 for boxes that
        take no part: they are ignored and best for no object.
        """
        takes_part = F.broadcast_like(F.expand_dims(candidates, axis=2), iou)
        iou = F.where(takes_part, iou, F.ones_like(iou) * -1)
        largest = F.max(iou, axis=2)
        positive = largest >= self._pos_iou
        if self._best_for_object:
            best = F.max(iou, axis=1, keepdims=True)
            # Equality finds ties as well; an object that nothing overlaps is nobody's.
            is_best = F.broadcast_mul(F.broadcast_equal(iou, best), best > 0)
            positive = F.broadcast_maximum(positive, F.max(is_best, axis=2))
        overlap = F.relu(largest)  # without any object, everything overlaps by nothing
        negative = (overlap < self._neg_iou) * (overlap >= self._neg_low) * (1 - positive)
        labels = positive * POSITIVE + (1 - positive - negative) * IGNORED
        labels = F.where(candidates, labels, F.ones_like(labels) * IGNORED)
        return labels, F.argmax(iou, axis=2)

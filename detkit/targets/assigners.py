"""Assigners, which match each box with an object, and functions that look the objects up."""

from typing import Tuple

from mxnet.gluon import HybridBlock

from detkit import boxes as box_functions
from detkit import ops
from detkit.constants import MIN_UNION
from detkit.registry import ASSIGNERS
from detkit.typing import Namespace, Tensor

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


@ASSIGNERS.register()
class MaxIoUAssigner(HybridBlock):
    """An assigner by the largest IoU, as in Fast and Faster R-CNN (Ren et al. 2015, section 3.1.2).

    A box is positive if its largest IoU with an object is at least ``pos_iou``, and negative if
    that IoU is in [``neg_low``, ``neg_iou``). Every other box is ignored.

    pos_iou, neg_iou, neg_low: IoUs in [0, 1]. A ``neg_low`` of 0.1 is a crude mining of hard
        negatives, which py-faster-rcnn uses for its RoIs.
    best_for_object: whether the boxes of largest IoU with an object are positive too, however small
        that IoU is. Each of them is matched with the object that it overlaps most, as in
        torchvision and Detectron2.
    crowd_share: a share in [0, 1]. A box is ignored instead of negative if more than this share of
        its area lies in one crowd region (Detectron's TRAIN.CROWD_FILTER_THRESH). With 1, crowd
        regions are background.
    """

    def __init__(
        self,
        pos_iou: float = 0.7,
        neg_iou: float = 0.3,
        neg_low: float = 0.0,
        best_for_object: bool = True,
        crowd_share: float = 0.7,
    ) -> None:
        super().__init__()
        if not 0 <= neg_low <= neg_iou <= pos_iou <= 1 or pos_iou == 0:
            raise ValueError(
                "expected 0 <= neg_low <= neg_iou <= pos_iou <= 1 and pos_iou above 0, found "
                f"neg_low={neg_low}, neg_iou={neg_iou}, pos_iou={pos_iou}"
            )
        if not 0 <= crowd_share <= 1:
            raise ValueError(f"crowd_share: expected a number in [0, 1], found {crowd_share}")
        self._pos_iou, self._neg_iou, self._neg_low = pos_iou, neg_iou, neg_low
        self._best_for_object, self._crowd_share = best_for_object, crowd_share

    def hybrid_forward(
        self, F: Namespace, boxes: Tensor, candidates: Tensor, gt_boxes: Tensor, gt_labels: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Returns labels (B, N), 1 positive, 0 negative, -1 ignored, and object indices (B, N).

        boxes (B or 1, N, 4); candidates (B, N), 0 for boxes that take no part: they are ignored,
        and are not the best box of any object; gt_boxes (B, G, 4); gt_labels (B, G), -1 for
        padding, -2 (ops.CROWD) for crowd regions, whose objects nobody told apart.
        """
        matches = ops.match(F, boxes, candidates, gt_boxes, gt_labels)
        positive = matches.iou >= self._pos_iou
        if self._best_for_object:
            positive = F.broadcast_maximum(positive, matches.is_best)
        negative = (matches.iou < self._neg_iou) * (matches.iou >= self._neg_low) * (1 - positive)
        if self._crowd_share < 1:
            negative = negative * (matches.ignored <= self._crowd_share)
        labels = positive * POSITIVE + (1 - positive - negative) * IGNORED
        labels = F.where(candidates, labels, F.ones_like(labels) * IGNORED)
        return labels, F.cast(matches.index, dtype="float32")


def matched_objects(
    F: Namespace, gt_boxes: Tensor, gt_labels: Tensor, index: Tensor
) -> Tuple[Tensor, Tensor]:
    """Returns the boxes (B, N, 4) and labels (B, N) of the objects at index (B, N).

    gt_boxes (B, G, 4), gt_labels (B, G).
    """
    objects = F.concat(gt_boxes, F.expand_dims(gt_labels, axis=2), dim=2)
    objects = ops.gather_rows(F, objects, index)
    labels = F.squeeze(F.slice_axis(objects, axis=2, begin=4, end=5), axis=2)
    return F.slice_axis(objects, axis=2, begin=0, end=4), labels


def matched_iou(F: Namespace, boxes: Tensor, objects: Tensor, labels: Tensor) -> Tensor:
    """Returns the IoU (B, N) of each box (B or 1, N, 4) with the object of its row (B, N, 4).

    It is 0 if the label (B, N) of the object is below 0.
    """
    shared, union = box_functions.intersection_and_union(F, boxes, objects)
    iou = F.squeeze(shared / F.maximum(union, MIN_UNION), axis=2)
    return iou * (labels >= 0)

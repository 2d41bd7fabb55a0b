"""Assigners: which object, if any, each box is responsible for."""

from mxnet.gluon import HybridBlock

from detkit import boxes as box_functions
from detkit import ops
from detkit.registry import ASSIGNERS

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


@ASSIGNERS.register()
class MaxIoUAssigner(HybridBlock):
    """By the largest IoU, as Fast and Faster R-CNN do (Ren et al. 2015, section 3.1.2).

    pos_iou: positive from here on. neg_iou: negative below. neg_low: but not below this (0.1 for
    the RoIs of py-faster-rcnn, a crude mining of hard negatives). Between them: ignored.
    best_for_object: the boxes of largest IoU with an object are positive too, however small that
        IoU; each keeps the object it overlaps most, as in torchvision and Detectron2.
    crowd_share: a box is no negative when more than this share of its area lies in one crowd
        region (Detectron's TRAIN.CROWD_FILTER_THRESH); 1: crowd regions are background.
    """

    def __init__(
        self,
        pos_iou: float = 0.7,
        neg_iou: float = 0.3,
        neg_low: float = 0.0,
        best_for_object: bool = True,
        crowd_share: float = 0.7,
    ):
        super().__init__()
        if not 0 <= neg_low <= neg_iou <= pos_iou <= 1 or pos_iou == 0:
            raise ValueError(
                "0 <= neg_low <= neg_iou <= pos_iou <= 1 and pos_iou > 0 do not hold: "
                f"{neg_low}, {neg_iou}, {pos_iou}"
            )
        if not 0 <= crowd_share <= 1:
            raise ValueError(f"crowd_share is in [0, 1], but here it is {crowd_share}")
        self._pos_iou, self._neg_iou, self._neg_low = pos_iou, neg_iou, neg_low
        self._best_for_object, self._crowd_share = best_for_object, crowd_share

    def hybrid_forward(self, F, boxes, candidates, gt_boxes, gt_labels):
        """(B, N) labels 1 positive, 0 negative, -1 ignored; (B, N) index of the object.

        boxes (B or 1, N, 4); candidates (B, N), 0 for boxes that take no part: they are ignored
        and best for no object; gt_boxes (B, G, 4); gt_labels (B, G), -1 for padding, -2
        (ops.CROWD) for regions of objects that nobody told apart.
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


def matched_objects(F, gt_boxes, gt_labels, index):
    """Boxes (B, N, 4) and labels (B, N) of the objects at index (B, N).

    gt_boxes (B, G, 4), gt_labels (B, G).
    """
    objects = F.concat(gt_boxes, F.expand_dims(gt_labels, axis=2), dim=2)
    objects = ops.gather_rows(F, objects, index)
    labels = F.squeeze(F.slice_axis(objects, axis=2, begin=4, end=5), axis=2)
    return F.slice_axis(objects, axis=2, begin=0, end=4), labels


def matched_iou(F, boxes, objects, labels):
    """IoU (B, N) of boxes (B or 1, N, 4) with objects (B, N, 4), 0 where labels (B, N) are < 0."""
    shared, union = box_functions.shared_and_union(F, boxes, objects)
    iou = F.squeeze(shared / F.maximum(union, 1e-30), axis=2)
    return iou * (labels >= 0)

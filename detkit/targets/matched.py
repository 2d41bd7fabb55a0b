"""The objects that boxes were matched with."""

from detkit import boxes as box_functions
from detkit import ops
from detkit.constants import MIN_UNION


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
    shared, union = box_functions.intersection_and_union(F, boxes, objects)
    iou = F.squeeze(shared / F.maximum(union, MIN_UNION), axis=2)
    return iou * (labels >= 0)

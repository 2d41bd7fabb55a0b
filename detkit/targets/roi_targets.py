"""Which proposals the RoI head is trained on, and what it should say of them."""

from typing import Sequence

from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.targets.assigners import POSITIVE


class RoITargets(HybridBlock):
    """Assign the proposals, sample them, encode the boxes (Girshick 2015, section 2.3).

    The objects themselves join the proposals, so that there are positives from the first step on.

    size: RoIs per image that come out; derived from the sampler, which draws no more.
    box_weights: derived from the postprocessing, which decodes with the same.
    """

    def __init__(self, assigner, sampler, box_weights: Sequence[float], size: int):
        super().__init__()
        self._size, self._box_weights = size, box_weights
        with self.name_scope():
            self.assigner = assigner
            self.sampler = sampler

    def hybrid_forward(self, F, proposals, proposal_scores, gt_boxes, gt_labels):
        """RoIs (B, S, 4), labels (B, S), box targets (B, S, 4); S = min(size, R + G).

        proposals (B, R, 4), proposal_scores (B, R) negative for padding, gt_boxes (B, G, 4),
        gt_labels (B, G) -1 for padding. Labels: 0 background, 1 + k for class k, -1 for rows that
        are not trained on.
        """
        rois = F.concat(proposals, gt_boxes, dim=1)
        candidates = F.concat(proposal_scores >= 0, gt_labels >= 0, dim=1)
        labels, matched = self.assigner(rois, candidates, gt_boxes, gt_labels)
        labels = self.sampler(labels)

        # The sampled rows first: positives, negatives, then whatever fills the fixed size.
        order = F.argsort(labels, axis=1, is_ascend=False)
        rows = F.slice(order, begin=(None, 0), end=(None, self._size))
        rois = ops.gather_rows(F, rois, rows)
        sampled = ops.gather_rows(F, F.stack(labels, matched, axis=2), rows)
        labels, matched = F.split(sampled, num_outputs=2, axis=2, squeeze_axis=True)

        objects = F.concat(gt_boxes, F.expand_dims(gt_labels, axis=2), dim=2)
        objects = ops.gather_rows(F, objects, matched)
        classes = F.squeeze(F.slice_axis(objects, axis=2, begin=4, end=5), axis=2)
        labels = F.where(labels == POSITIVE, classes + 1, labels)
        matched_boxes = F.slice_axis(objects, axis=2, begin=0, end=4)
        return rois, labels, boxes.encode(F, matched_boxes, rois, self._box_weights)

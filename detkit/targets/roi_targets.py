"""Which proposals the RoI head is trained on, and what it should say of them."""

from typing import Sequence

from mxnet.gluon import Block, HybridBlock

from detkit import boxes, ops
from detkit.registry import ASSIGNERS, SAMPLERS
from detkit.targets.assigners import POSITIVE, matched_iou, matched_objects
from detkit.targets.samplers import BOX, IOU, LOSS, needs_of


class RoITargets(Block):
    """Assign the proposals, encode the boxes, sample the RoIs (Girshick 2015, section 2.3).

    The objects themselves join the proposals, so that there are positives from the first step on.

    box_weights: derived from the postprocessing, which decodes with the same.

    max_positive: the most positive RoIs of an image that come out; None: no limit.
    """

    PARTS = {"assigner": ASSIGNERS, "sampler": SAMPLERS}

    def __init__(self, assigner, sampler, box_weights: Sequence[float]):
        super().__init__()
        self.max_positive = getattr(sampler, "max_positive", sampler.size)
        self._needs = needs_of(sampler)
        unknown = [need for need in self._needs if need not in (IOU, BOX, LOSS)]
        if unknown:
            raise ValueError(
                f"the sampler {type(sampler).__name__} needs {' and '.join(unknown)}; there are "
                f"{IOU}, {BOX} and {LOSS}"
            )
        with self.name_scope():
            self.assign = _Assign(assigner, box_weights)
            self.sample = _Sample(sampler)

    def forward(self, proposals, proposal_scores, gt_boxes, gt_labels, losses_of=None):
        """RoIs (B, S, 4), labels (B, S), box targets (B, S, 4).

        S is the sampler's size or, where that is less or the sampler has no limit, R + G.

        proposals (B, R, 4), proposal_scores (B, R) negative for padding, gt_boxes (B, G, 4),
        gt_labels (B, G) < 0 for what is no object. Labels: 0 background, 1 + k for class k, -1 for
        rows that are not trained on.
        losses_of: function of such RoIs, labels and targets, here of all R + G, to losses (B, R +
        G); called for a sampler that needs them.
        """
        *targets, iou = self.assign(proposals, proposal_scores, gt_boxes, gt_labels)
        given = {IOU: lambda: iou, BOX: lambda: targets[0], LOSS: lambda: losses_of(*targets)}
        return self.sample(*targets, *(given[need]() for need in self._needs))


class _Assign(HybridBlock):
    """All candidates with their labels, box targets and IoUs."""

    def __init__(self, assigner, box_weights):
        super().__init__()
        self._box_weights = box_weights
        with self.name_scope():
            self.assigner = assigner

    def hybrid_forward(self, F, proposals, proposal_scores, gt_boxes, gt_labels):
        """RoIs (B, R + G, 4), labels and IoUs (B, R + G), targets (B, R + G, 4), as RoITargets."""
        rois = F.concat(proposals, gt_boxes, dim=1)
        candidates = F.concat(proposal_scores >= 0, gt_labels >= 0, dim=1)
        labels, matched = self.assigner(rois, candidates, gt_boxes, gt_labels)
        objects, classes = matched_objects(F, gt_boxes, gt_labels, matched)
        labels = F.where(labels == POSITIVE, classes + 1, labels)
        targets = boxes.encode(F, objects, rois, self._box_weights)
        return rois, labels, targets, matched_iou(F, rois, objects, classes)


class _Sample(HybridBlock):
    """The sampled rows first, then whatever fills the fixed size."""

    def __init__(self, sampler):
        super().__init__()
        self._size = sampler.size
        with self.name_scope():
            self.sampler = sampler

    def hybrid_forward(self, F, rois, labels, targets, *given):
        """What _Assign found -> S rows of it; ``given`` is what the sampler needs."""
        drawn = self.sampler(F.minimum(labels, POSITIVE), *given)
        labels = F.where(drawn >= 0, labels, drawn)
        order = F.argsort(labels, axis=1, is_ascend=False)
        best = F.slice(order, begin=(None, 0), end=(None, self._size))
        rows = F.concat(F.expand_dims(labels, axis=2), rois, targets, dim=2)
        rows = ops.gather_rows(F, rows, best)
        labels = F.squeeze(F.slice_axis(rows, axis=2, begin=0, end=1), axis=2)
        rois, targets = (F.slice_axis(rows, axis=2, begin=b, end=b + 4) for b in (1, 5))
        return rois, labels, targets

"""Targets of RoIs: the proposals that a RoI head is trained on, their classes and their boxes."""

from typing import Callable, Optional, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import Block, HybridBlock

from detkit import boxes, ops
from detkit.registry import ASSIGNERS, SAMPLERS
from detkit.targets.assigners import NEGATIVE, POSITIVE, matched_iou, matched_objects
from detkit.targets.samplers import BOX, IOU, LOSS, needs_of
from detkit.typing import Namespace, NDArray, Tensor


class RoITargets(Block):
    """The targets of a RoI head (Girshick 2015, section 2.3).

    The proposals are assigned to objects, the objects' boxes are encoded, and RoIs are sampled. The
    ground-truth boxes join the proposals, so that there are positives from the first step on.

    box_weights: what the targets dx dy dw dh are multiplied by; derived from the postprocessing,
        which decodes with the same numbers.
    box_statistics: normalises the targets of each class; derived from the postprocessing, which
        restores the deltas with it. None: there is no normalisation.

    The attribute ``max_positive`` is the largest number of positive RoIs that an image can have
    among those returned; None without a limit.
    """

    PARTS = {"assigner": ASSIGNERS, "sampler": SAMPLERS}

    def __init__(
        self,
        assigner: HybridBlock,
        sampler: HybridBlock,
        box_weights: Sequence[float],
        box_statistics: Optional[HybridBlock] = None,
    ) -> None:
        super().__init__()
        self.max_positive = getattr(sampler, "max_positive", sampler.size)
        self._needs = needs_of(sampler)
        unknown = [need for need in self._needs if need not in (IOU, BOX, LOSS)]
        if unknown:
            raise ValueError(
                f"sampler: expected one that needs nothing but {IOU}, {BOX} and {LOSS}, found "
                f"{type(sampler).__name__}, which needs {' and '.join(unknown)}"
            )
        with self.name_scope():
            self.assign = _Assign(assigner, box_weights, box_statistics)
            self.sample = _Sample(sampler)

    def forward(
        self,
        proposals: NDArray,
        proposal_scores: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        losses_of: Optional[Callable[[NDArray, NDArray, NDArray], NDArray]] = None,
    ) -> Tuple[NDArray, NDArray, NDArray]:
        """Returns RoIs (B, S, 4), labels (B, S) and box targets (B, S, 4).

        S is the sampler's size, or R + G if that is less or the sampler has no limit. Labels are 0
        for the background, 1 + k for class k, and -1 for rows that are not trained on.

        proposals (B, R, 4); proposal_scores (B, R), negative for padding; gt_boxes (B, G, 4);
        gt_labels (B, G), below 0 for padding and crowd regions.
        losses_of: a function of RoIs, labels and targets, here of all R + G, that returns losses
            (B, R + G). It is called only for a sampler that needs losses.

        Raises TypeError if the sampler needs losses and ``losses_of`` is missing.
        """
        rois, labels, targets, iou = self.assign(proposals, proposal_scores, gt_boxes, gt_labels)
        given = {IOU: iou, BOX: rois}
        if LOSS in self._needs:
            if losses_of is None:
                raise TypeError("losses_of: expected a function of the RoIs' losses, found None")
            given[LOSS] = losses_of(rois, labels, targets)
        return self.sample(rois, labels, targets, *(given[need] for need in self._needs))

    def negatives(
        self, proposals: NDArray, scores: NDArray, gt_boxes: NDArray, gt_labels: NDArray
    ) -> NDArray:
        """Returns the scores (B, R), set to -1 for proposals that the assigner finds not negative.

        The proposals are assigned by themselves: those that are returned would be negative among
        others, too. For the arguments, see ``forward``.
        """
        labels, _ = self.assign.assigner(proposals, scores >= 0, gt_boxes, gt_labels)
        return mx.nd.where(labels == NEGATIVE, scores, mx.nd.zeros_like(scores) - 1)


class _Assign(HybridBlock):
    """The first half of RoITargets: all candidates with their labels, box targets and IoUs."""

    def __init__(
        self,
        assigner: HybridBlock,
        box_weights: Sequence[float],
        box_statistics: Optional[HybridBlock],
    ) -> None:
        super().__init__()
        self._box_weights = box_weights
        with self.name_scope():
            self.assigner = assigner
            self.box_statistics = box_statistics

    def hybrid_forward(
        self, F: Namespace, proposals: Tensor, scores: Tensor, gt_boxes: Tensor, gt_labels: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns RoIs (B, M, 4), labels (B, M), box targets (B, M, 4) and IoUs (B, M); M = R + G.

        The arguments are those of RoITargets.
        """
        rois = F.concat(proposals, gt_boxes, dim=1)
        candidates = F.concat(scores >= 0, gt_labels >= 0, dim=1)
        labels, matched = self.assigner(rois, candidates, gt_boxes, gt_labels)
        objects, classes = matched_objects(F, gt_boxes, gt_labels, matched)
        labels = F.where(labels == POSITIVE, classes + 1, labels)
        targets = boxes.encode(F, objects, rois, self._box_weights)
        if self.box_statistics is not None:
            targets = self.box_statistics.normalised(F, targets, classes)
        return rois, labels, targets, matched_iou(F, rois, objects, classes)


class _Sample(HybridBlock):
    """The second half of RoITargets: the sampled rows, then others that fill the fixed size."""

    def __init__(self, sampler: HybridBlock) -> None:
        super().__init__()
        self._size = sampler.size
        with self.name_scope():
            self.sampler = sampler

    def hybrid_forward(
        self, F: Namespace, rois: Tensor, labels: Tensor, targets: Tensor, *given: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns S rows of the RoIs (B, M, 4), labels (B, M) and box targets (B, M, 4).

        given: the arrays that the sampler needs.
        """
        drawn = self.sampler(F.minimum(labels, POSITIVE), *given)
        labels = F.where(drawn >= 0, labels, drawn)
        order = F.argsort(labels, axis=1, is_ascend=False)
        best = F.slice(order, begin=(None, 0), end=(None, self._size))
        rows = F.concat(F.expand_dims(labels, axis=2), rois, targets, dim=2)
        rows = ops.gather_rows(F, rows, best)
        labels = F.squeeze(F.slice_axis(rows, axis=2, begin=0, end=1), axis=2)
        rois, targets = (F.slice_axis(rows, axis=2, begin=b, end=b + 4) for b in (1, 5))
        return rois, labels, targets

"""The training step of Mask R-CNN on C4, whose masks share the features of the boxes."""

import functools
from typing import Any

import mxnet as mx
from mxnet import autograd

from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.train_steps.mask_rcnn import MaskRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import Losses, TrainStep
from detkit.typing import NDArray, PerLevel


@TRAIN_STEPS.register("MaskRCNNC4")
class MaskRCNNC4TrainStep(TrainStep):
    """The step of Mask R-CNN, which runs the trunk of the RoI head once, as Detectron2 does.

    The RoIs of the masks are the first rows of those of the boxes, because the positives come
    first. The mask head therefore gets these rows of what the trunk returned for the boxes.
    """

    PARTS = MaskRCNNTrainStep.PARTS
    INPUTS = MaskRCNNTrainStep.INPUTS
    derived = MaskRCNNTrainStep.derived

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        predict = functools.partial(model.roi_head.predict, mx.nd)
        self.roi_stage = RoIStage(self._trunk, predict, self.roi_targets, self.roi_loss)

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        gt_masks: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses of a batch; arguments and losses are those of MaskRCNNTrainStep."""
        model = self.model
        features = model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        with autograd.pause():
            _, classes, targets = self.mask_targets(
                roi.rois, roi.labels, gt_boxes, gt_labels, gt_masks
            )
        logits = model.mask_head(first_rows(roi.features, roi.labels, classes), classes)
        return {**rpn.losses, **roi.losses, "mask": self.mask_loss(logits, classes, targets)}

    def _trunk(self, features: PerLevel, rois: NDArray) -> NDArray:
        return self.model.roi_head.trunk(self.model.roi_extractor(features, rois))


def first_rows(cells: NDArray, labels: NDArray, classes: NDArray) -> NDArray:
    """Returns the first R of the S rows of each image, (B * R, C, P, P).

    cells (B * S, C, P, P); labels (B, S) and classes (B, R), for their shapes alone.
    """
    by_image = mx.nd.reshape_like(cells, labels, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)
    rows = mx.nd.slice_like(by_image, classes, axes=(1,))
    return mx.nd.reshape(rows, shape=(-3, 0, 0, 0))

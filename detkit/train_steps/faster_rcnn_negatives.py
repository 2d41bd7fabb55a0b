"""The training step of Faster R-CNN with further negatives, the proposals of a file."""

from typing import Any

import mxnet as mx
from mxnet import autograd

from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("FasterRCNNWithNegatives")
class FasterRCNNWithNegativesTrainStep(TrainStep):
    """The step of Faster R-CNN whose RoI head also sees background that the RPN does not propose.

    The stored proposals of an image (``data.train_proposals``, for example Selective Search's) join
    those of the RPN as candidates for the negatives of the RoI sampler. Which of them are negative
    is decided by the assigner of ``roi_targets``, by its ``neg_iou`` and ``neg_low``. The others
    are dropped, so that the positives are the RPN's and the ground-truth boxes alone, as in
    testing.
    """

    PARTS = FasterRCNNTrainStep.PARTS
    derived = FasterRCNNTrainStep.derived
    INPUTS = (*TrainStep.INPUTS, "proposals", "proposal_scores")
    VARIANT_OF = "FasterRCNN"

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.roi_stage = RoIStage(
            model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss
        )

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        stored: NDArray,
        stored_scores: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses rpn_class, rpn_box, roi_class and roi_box of a batch.

        stored (B, R, 4) in pixels; stored_scores (B, R), negative for padding. For the other
        arguments, see FasterRCNNTrainStep.
        """
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
            negatives = self.roi_targets.negatives(stored, stored_scores, gt_boxes, gt_labels)
            proposals = mx.nd.concat(proposals, stored, dim=1)
            scores = mx.nd.concat(scores, negatives, dim=1)
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        return {**rpn.losses, **roi.losses}

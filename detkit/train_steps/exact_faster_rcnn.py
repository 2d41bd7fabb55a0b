"""The training step of Faster R-CNN in which the RoIs' losses train the proposals' boxes, too."""

from typing import Any, Mapping

from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit import boxes, ops
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import Namespace, NDArray, PerLevel, Tensor


@TRAIN_STEPS.register("ExactFasterRCNN")
class ExactFasterRCNNTrainStep(TrainStep):
    """Non-approximate joint training (Ren et al. 2015, section 3.2, iii).

    A RoI is a function of the deltas of its anchor, and so are the features under it and the
    targets of its box. The losses of the RoIs therefore have a gradient with respect to these
    deltas. The choice of the proposals, the sample, and the object of each RoI count as fixed: they
    are constant almost everywhere, and the gradient is otherwise complete. The RoI extractor must
    be ``differentiable``, and the part ``proposals`` is built ``with_anchors``.
    """

    PARTS = FasterRCNNTrainStep.PARTS

    def __init__(self, model: Network, **parts: Any) -> None:
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.moved = _Moved(self.proposals)
        self.roi_stage = RoIStage(
            model.roi_extractor,
            model.roi_head,
            self.roi_targets,
            self.roi_loss,
            differentiable=True,
        )

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        derived = FasterRCNNTrainStep.derived(name, model, parts, num_classes)
        return {**derived, "with_anchors": True} if name == "proposals" else derived

    def __call__(
        self,
        images: NDArray,
        sizes: NDArray,
        gt_boxes: NDArray,
        gt_labels: NDArray,
        *scales: NDArray,
    ) -> Losses:
        """Returns the losses of FasterRCNNTrainStep, whose arguments it takes."""
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            _, scores, places = self.proposals(
                rpn.anchors, rpn.objectness, rpn.deltas, sizes, *scales
            )
        proposals = self.moved(rpn.anchors, rpn.deltas, places, sizes)
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        return {**rpn.losses, **roi.losses}

    def hybridize(self, **flags: Any) -> None:
        """Compiles the blocks that only training uses, see TrainStep."""
        super().hybridize(**flags)
        self.moved.hybridize(**flags)


class _Moved(HybridBlock):
    """The boxes of chosen anchors, with a gradient with respect to the deltas.

    proposals: the part that chose them, for the numbers that it decodes with.
    """

    def __init__(self, proposals: Any) -> None:
        super().__init__()
        self._weights = proposals.box_weights
        self._max_log_scale = getattr(proposals, "max_log_scale", boxes.MAX_LOG_SCALE)

    def hybrid_forward(
        self, F: Namespace, anchors: PerLevel, deltas: PerLevel, places: Tensor, sizes: Tensor
    ) -> Tensor:
        """Returns boxes (B, R, 4) clipped to the images, zeros in rows without a proposal.

        anchors (1, N, 4) and deltas (B, N, 4) of each level; places (B, R) among all levels, -1
        without a proposal; sizes (B, 2) h, w.
        """
        rows = F.relu(places)
        deltas = ops.gather_rows(F, F.concat(*deltas, dim=1), rows)
        anchors = F.take(F.squeeze(F.concat(*anchors, dim=1), axis=0), rows)
        moved = boxes.decode(F, deltas, anchors, self._weights, self._max_log_scale)
        exists = F.expand_dims(places >= 0, axis=2)
        return F.broadcast_mul(boxes.clip(F, moved, sizes), exists)

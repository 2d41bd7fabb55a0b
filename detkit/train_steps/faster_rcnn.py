"""One training step of Faster R-CNN, from a batch to its losses, in the order of the paper."""

from mxnet import autograd

from detkit.losses import RoILoss, RPNLoss
from detkit.registry import PROPOSALS, TRAIN_STEPS
from detkit.targets import RoITargets, RPNTargets
from detkit.train_steps.stages import RoIStage, RPNStage
from detkit.train_steps.step import TrainStep


@TRAIN_STEPS.register("FasterRCNN")
class FasterRCNNTrainStep(TrainStep):
    """Approximate joint training (Ren et al. 2015, section 3.2).

    No gradient flows through the proposals' coordinates. The detector's own ``proposals`` are for
    testing; those here keep more.
    """

    PARTS = {
        "rpn_targets": RPNTargets,
        "rpn_loss": RPNLoss,
        "proposals": PROPOSALS,
        "roi_targets": RoITargets,
        "roi_loss": RoILoss,
    }

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.roi_stage = RoIStage(
            model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss
        )

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """The arguments that follow from the detector, see TrainStep."""
        if name == "proposals":
            return {"box_weights": model.proposals.box_weights}
        box_weights = model.postprocess.box_weights
        return RPNStage.derived(name, model) or RoIStage.derived(name, box_weights, num_classes)

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """Losses of a batch; call it under autograd.record().

        images (B, 3, H, W) RGB 0..255, sizes (B, 2) h, w, gt_boxes (B, G, 4) pixels,
        gt_labels (B, G) 0..K-1, -1 for padding.
        """
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(rpn.anchors, rpn.objectness, rpn.deltas, sizes)
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        return {**rpn.losses, **roi.losses}

"""One training step of Cascade R-CNN: that of Faster R-CNN, with the RoIs of stage after stage."""

from collections import namedtuple

from mxnet import autograd

from detkit.registry import TRAIN_STEPS
from detkit.targets import RoITargets
from detkit.train_steps.faster_rcnn import FasterRCNNTrainStep
from detkit.train_steps.head_losses import RoILoss
from detkit.train_steps.roi_stage import RoIStage


@TRAIN_STEPS.register("CascadeRCNN")
class CascadeRCNNTrainStep(FasterRCNNTrainStep):
    """As FasterRCNNTrainStep, with targets and two losses for each stage.

    A stage's RoIs are sampled from the objects and the boxes that the stage before made of its own
    sample, without those it made of the objects, which are better than any that it makes in testing
    (as in mmdetection; Detectron2 adds the objects to the first stage alone, samples only there and
    keeps what it makes of them). No gradient flows through a box from stage to stage.
    """

    PARTS = {**FasterRCNNTrainStep.PARTS, "roi_targets": [RoITargets], "roi_loss": [RoILoss]}

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self._losses = losses_type(len(model.roi_heads))

    def box_losses(self, images, sizes, gt_boxes, gt_labels):
        """The losses, a named tuple of losses_type, and the Sampled RoIs of the first stage."""
        model = self.model
        features = model.features(images, sizes)
        losses, rois = self.propose(images, features, sizes, gt_boxes, gt_labels)
        samples = []
        for number, parts in enumerate(zip(model.roi_heads, self.roi_targets, self.roi_loss)):
            if number:
                rois = self._refined(model.refine[number - 1], samples[-1], sizes)
            stage = RoIStage(model.roi_extractor, *parts)
            roi_losses, sampled = stage.losses(features, *rois, gt_boxes, gt_labels)
            losses = (*losses, *roi_losses)
            samples.append(sampled)
        return self._losses(*losses), samples[0]

    def _refined(self, refine, sampled, sizes):
        """Boxes (B, S, 4) that a stage makes of its RoIs, and scores (B, S), -1 for what ends here.

        A positive RoI whose targets are all 0 is the object itself.
        """
        with autograd.pause():
            boxes = refine(sampled.rois, sampled.class_logits, sampled.deltas, sizes)
            objects = (sampled.labels > 0) * (sampled.targets == 0).min(axis=2)
            return boxes, (sampled.labels >= 0) - objects - 1


def losses_type(stages):
    """A named tuple of the losses, each (1,) and already weighted; they are summed.

    Those of stage 1 are called roi_class_1 and roi_box_1.
    """
    names = (f"{name}_{stage + 1}" for stage in range(stages) for name in ("roi_class", "roi_box"))
    return namedtuple("CascadeLosses", ("rpn_class", "rpn_box", *names))

"""One training step of RetinaNet (Lin et al. 2017b): every anchor, and no sampling."""

from mxnet import autograd

from detkit.losses import DenseLoss
from detkit.registry import TRAIN_STEPS
from detkit.targets import DenseTargets
from detkit.train_steps.step import TrainStep


@TRAIN_STEPS.register("RetinaNet")
class RetinaNetTrainStep(TrainStep):
    """Calls the detector's parts but the last, and compares what the head said with the targets."""

    PARTS = {"dense_targets": DenseTargets, "dense_loss": DenseLoss}

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """The arguments that follow from the detector, see TrainStep."""
        return {"box_weights": model.postprocess.box_weights}

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        """Losses of a batch; arguments as for FasterRCNNTrainStep."""
        model = self.model
        features = model.features(images, sizes)
        class_logits, deltas = model.head(model.anchored(features))
        with autograd.pause():
            anchors = model.anchors_of(images, features)
            labels, targets = self.dense_targets(anchors, sizes, gt_boxes, gt_labels)
        losses = self.dense_loss(class_logits, deltas, labels, targets, anchors)
        return dict(zip(("dense_class", "dense_box"), losses))

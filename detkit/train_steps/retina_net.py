"""The training step of RetinaNet (Lin et al. 2017b), which trains on every anchor."""

from typing import Any, Mapping

from mxnet import autograd

from detkit.losses import DenseLoss
from detkit.models import Network
from detkit.registry import TRAIN_STEPS
from detkit.targets import DenseTargets
from detkit.train_steps.step import Derived, Losses, TrainStep
from detkit.typing import NDArray


@TRAIN_STEPS.register("RetinaNet")
class RetinaNetTrainStep(TrainStep):
    """The training of a one-stage head: no sampling, and one comparison with the targets."""

    PARTS = {"dense_targets": DenseTargets, "dense_loss": DenseLoss}

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns the arguments that follow from the detector, see TrainStep."""
        return {"box_weights": model.postprocess.box_weights}

    def __call__(
        self, images: NDArray, sizes: NDArray, gt_boxes: NDArray, gt_labels: NDArray
    ) -> Losses:
        """Returns the losses dense_class and dense_box of a batch.

        For the arguments, see FasterRCNNTrainStep.
        """
        model = self.model
        features = model.features(images, sizes)
        class_logits, deltas = model.head(model.anchored(features))
        with autograd.pause():
            anchors = model.anchors_of(images, features)
            labels, targets = self.dense_targets(anchors, sizes, gt_boxes, gt_labels)
        losses = self.dense_loss(class_logits, deltas, labels, targets, anchors)
        return dict(zip(("dense_class", "dense_box"), losses))

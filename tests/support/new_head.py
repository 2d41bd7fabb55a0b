"""A plugin with a new kind of head, whose dataset has a field of its own for it: where the top of
each object is. test_new_head.py copies it into a project."""

import numpy as np
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

from detkit import ops
from detkit.data import Shapes
from detkit.models import FasterRCNN, Network
from detkit.registry import DATASETS, DETECTORS, HEADS, ROI_EXTRACTORS, TRAIN_STEPS
from detkit.train_steps import FasterRCNNTrainStep, RoIStage, RPNStage, TrainStep


class Points:
    """A detkit.data.sample.Field: a point x, y of each object, (G, 2) float32 pixels."""

    def __init__(self, xy):
        self.xy = np.asarray(xy, np.float32).reshape(-1, 2)

    def take(self, rows):
        return Points(self.xy[rows])

    def scale(self, x, y):
        return Points(self.xy * np.float32([x, y]))

    def mirror(self, axis, side):
        mirrored = self.xy.copy()
        mirrored[:, 1 - axis] = side - mirrored[:, 1 - axis]
        return Points(mirrored)

    def array(self, slots):
        return np.pad(self.xy, ((0, slots - len(self.xy)), (0, 0)))


@DATASETS.register(force=True)
class ShapesWithTops:
    """The embedded shapes; the field ``tops`` is the middle of the upper side of each box."""

    def __init__(self, length: int, seed: int = 0):
        self._shapes = Shapes(length, size=(64, 64), seed=seed, min_object=0.3)
        self.class_names = self._shapes.class_names
        self.dropped, self.bad_images = self._shapes.dropped, self._shapes.bad_images

    def __len__(self):
        return len(self._shapes)

    def annotation(self, index):
        return self._shapes.annotation(index)

    def image(self, index):
        return self._shapes.image(index)

    def masks(self, index):
        return self._shapes.masks(index)

    def field(self, name, index):
        boxes = self.annotation(index).boxes
        return Points(np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, 1]], axis=1))


@HEADS.register(force=True)
class TopHead(HybridBlock):
    """(B * R, C, P, P) -> x, y (B * R, 2) as shares of the RoI's sides."""

    def __init__(self, in_channels, in_size, num_classes):
        super().__init__()
        with self.name_scope():
            self.xy = nn.Dense(2, in_units=in_channels * in_size**2)

    def hybrid_forward(self, F, roi_features):
        return self.xy(roi_features)


@DETECTORS.register(force=True)
class TopRCNN(Network):
    """Faster R-CNN with a head more, which training alone asks here."""

    PARTS = {**FasterRCNN.PARTS, "top_extractor": ROI_EXTRACTORS, "top_head": HEADS}
    hybrid_forward = FasterRCNN.hybrid_forward


class TopTargets(HybridBlock):
    """The top of the object that each RoI overlaps most, as shares of the RoI's sides."""

    def hybrid_forward(self, F, rois, labels, gt_boxes, gt_labels, gt_tops):
        """targets (B, S, 2) and weights (B, S): 1 for positive RoIs, else 0."""
        index = ops.match(F, rois, None, gt_boxes, gt_labels).index
        tops = ops.gather_rows(F, gt_tops, index)
        corner = F.slice_axis(rois, axis=2, begin=0, end=2)
        sides = F.slice_axis(rois, axis=2, begin=2, end=4) - corner
        return (tops - corner) / F.maximum(sides, 1), labels > 0


class TopLoss(HybridBlock):
    """The mean squared distance of the positive RoIs' points."""

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self._weight = weight

    def hybrid_forward(self, F, xy, targets, positive):
        losses = F.sum(F.square(F.reshape_like(xy, targets) - targets), axis=2) * positive
        return F.broadcast_div(F.sum(losses), F.maximum(F.sum(positive), 1)) * self._weight


@TRAIN_STEPS.register("TopRCNN", force=True)
class TopRCNNTrainStep(TrainStep):
    PARTS = {**FasterRCNNTrainStep.PARTS, "top_targets": TopTargets, "top_loss": TopLoss}
    INPUTS = (*TrainStep.INPUTS, "tops")

    def __init__(self, model, **parts):
        super().__init__(model, **parts)
        self.rpn_stage = RPNStage(model, self.rpn_targets, self.rpn_loss)
        self.roi_stage = RoIStage(
            model.roi_extractor, model.roi_head, self.roi_targets, self.roi_loss
        )

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        return FasterRCNNTrainStep.derived(name, model, parts, num_classes)

    def __call__(self, images, sizes, gt_boxes, gt_labels, gt_tops):
        features = self.model.features(images, sizes)
        rpn = self.rpn_stage(images, features, sizes, gt_boxes, gt_labels)
        with autograd.pause():
            proposals, scores = self.proposals(rpn.anchors, rpn.objectness, rpn.deltas, sizes)
        roi = self.roi_stage(features, proposals, scores, gt_boxes, gt_labels)
        with autograd.pause():
            targets, positive = self.top_targets(roi.rois, roi.labels, gt_boxes, gt_labels, gt_tops)
        xy = self.model.top_head(self.model.top_extractor(features, roi.rois))
        return {**rpn.losses, **roi.losses, "top": self.top_loss(xy, targets, positive)}

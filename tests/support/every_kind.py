"""A plugin with one part of every kind but those that choose boxes, which are in box_kinds.py.

test_parts_as_plugins.py copies both into a project.
"""

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

from detkit import registry
from detkit.data import Annotation
from detkit.losses import RPNLoss
from detkit.models import Network, Normalize
from detkit.targets import RPNTargets

SIDE = 16


@registry.BACKBONES.register(force=True)
class MyBackbone(HybridBlock):
    channels, strides = (8, 12), (4, 8)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.fine = nn.Conv2D(8, 5, 4, 2, in_channels=3, activation="relu")
            self.coarse = nn.Conv2D(12, 3, 2, 1, in_channels=8, activation="relu")

    def hybrid_forward(self, F, images):
        fine = self.fine(images)
        return [fine, self.coarse(fine)]


@registry.NECKS.register(force=True)
class MyNeck(HybridBlock):
    """Both maps as one, of the coarser's size."""

    def __init__(self, in_channels, strides, channels: int = 8):
        super().__init__()
        self.channels, self.strides = channels, strides[-1:]
        with self.name_scope():
            self.conv = nn.Conv2D(channels, 1, in_channels=sum(in_channels))

    def hybrid_forward(self, F, maps):
        fine, coarse = maps
        halved = F.Pooling(fine, kernel=(2, 2), stride=(2, 2), pool_type="max")
        return [self.conv(F.concat(halved, coarse, dim=1))]


@registry.ANCHORS.register(force=True)
class MyAnchors(HybridBlock):
    """One square at each cell."""

    per_cell = 1

    def __init__(self, strides, side: float = SIDE):
        super().__init__()
        self._stride, self._side = strides[0], side
        self.shapes = [np.array([[-side, -side, side, side]], "float32") / 2]

    def hybrid_forward(self, F, maps):
        rows = F.slice_axis(F.slice_axis(maps[0], axis=0, begin=0, end=1), axis=1, begin=0, end=1)
        x = F.broadcast_add(rows * 0, F.reshape(F.contrib.arange_like(rows, axis=3), (1, 1, 1, -1)))
        y = F.broadcast_add(rows * 0, F.reshape(F.contrib.arange_like(rows, axis=2), (1, 1, -1, 1)))
        half = self._side / 2
        corners = [(axis + 0.5) * self._stride + sign for sign in (-half, half) for axis in (x, y)]
        return [F.reshape(F.stack(*corners, axis=-1), shape=(1, -1, 4))]


@registry.HEADS.register(force=True)
class MyRPNHead(HybridBlock):
    def __init__(self, in_channels, num_anchors):
        super().__init__()
        with self.name_scope():
            self.conv = nn.Conv2D(num_anchors * 5, 1, in_channels=in_channels)

    def hybrid_forward(self, F, maps):
        rows = F.reshape(F.transpose(self.conv(maps[0]), (0, 2, 3, 1)), shape=(0, -1, 5))
        objectness = F.squeeze(F.slice_axis(rows, axis=2, begin=0, end=1), axis=2)
        return [objectness], [F.slice_axis(rows, axis=2, begin=1, end=5)]


@registry.ROI_EXTRACTORS.register(force=True)
class MyExtractor(HybridBlock):
    """The mean of the whole map for every RoI."""

    size = 1

    def __init__(self, strides, channels):
        super().__init__()
        self.channels = channels

    def hybrid_forward(self, F, maps, rois):
        mean = F.expand_dims(F.mean(maps[0], axis=(2, 3)), axis=1)  # (B, 1, C)
        each = F.broadcast_add(mean, F.sum(rois, axis=2, keepdims=True) * 1e-3)
        return F.reshape(each, shape=(-3, 0, 1, 1))


@registry.HEADS.register(force=True)
class MyRoIHead(HybridBlock):
    def __init__(self, in_channels, in_size, num_classes):
        super().__init__()
        with self.name_scope():
            self.classes = nn.Dense(1 + num_classes, in_units=in_channels * in_size**2)
            self.boxes = nn.Dense(4, in_units=in_channels * in_size**2)

    def hybrid_forward(self, F, roi_features):
        return self.classes(roi_features), F.expand_dims(self.boxes(roi_features), axis=1)


@registry.DETECTORS.register(force=True)
class MyDetector(Network):
    """A detector whose parts are listed anew; each proposal's box is left as it is."""

    PARTS = {
        "normalize": Normalize,
        "backbone": registry.BACKBONES,
        "neck": registry.NECKS,
        "anchors": registry.ANCHORS,
        "rpn_head": registry.HEADS,
        "proposals": registry.PROPOSALS,
        "roi_extractor": registry.ROI_EXTRACTORS,
        "roi_head": registry.HEADS,
        "postprocess": registry.POSTPROCESS,
    }

    def hybrid_forward(self, F, images, sizes):
        features = self.features(images, sizes)
        proposals, scores = self.proposals(self.anchors(features), *self.rpn_head(features), sizes)
        logits, deltas = self.roi_head(self.roi_extractor(features, proposals))
        return self.postprocess(proposals, scores, logits, deltas * 0, sizes)


@registry.TRAIN_STEPS.register("MyDetector", force=True)
class MyTrainStep:
    PARTS = {"rpn_targets": RPNTargets, "rpn_loss": RPNLoss}
    INPUTS = ("images", "sizes", "boxes", "labels")

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        return {"box_weights": model.proposals.box_weights}

    def __init__(self, model, rpn_targets, rpn_loss):
        self.model, self.targets, self.loss = model, rpn_targets, rpn_loss

    def hybridize(self):
        self.targets.hybridize()
        self.loss.hybridize()

    def __call__(self, images, sizes, gt_boxes, gt_labels):
        features = self.model.features(images, sizes)
        anchors = self.model.anchors(features)
        with autograd.pause():
            labels, targets = self.targets(anchors, sizes, gt_boxes, gt_labels)
        losses = self.loss(*self.model.rpn_head(features), labels, targets, anchors)
        logits, deltas = self.model.roi_head(self.model.roi_extractor(features, gt_boxes))
        losses = dict(zip(("rpn_class", "rpn_box"), losses))
        return {**losses, "roi_class": (logits**2).mean(), "roi_box": (deltas**2).mean()}


@registry.ASSIGNERS.register(force=True)
class MyAssigner(HybridBlock):
    """The boxes whose centre lies in the first object."""

    def hybrid_forward(self, F, boxes, candidates, gt_boxes, gt_labels):
        first = F.slice_axis(gt_boxes, axis=1, begin=0, end=1)
        x1, y1, x2, y2 = F.split(boxes, num_outputs=4, axis=2, squeeze_axis=True)
        left, top, right, bottom = F.split(first, num_outputs=4, axis=2, squeeze_axis=True)
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        inside = F.broadcast_greater(x, left) * F.broadcast_lesser(x, right)
        inside = inside * F.broadcast_greater(y, top) * F.broadcast_lesser(y, bottom)
        return F.where(candidates, inside, -F.ones_like(inside)), F.zeros_like(inside)


@registry.SAMPLERS.register(force=True)
class MySampler(HybridBlock):
    """All."""

    size = None

    def hybrid_forward(self, F, labels):
        return F.identity(labels)


@registry.LOSSES.register(force=True)
class MyLoss(HybridBlock):
    compares = "deltas"

    def hybrid_forward(self, F, predicted, target):
        return F.square(predicted - target)


@registry.DATASETS.register(force=True)
class MyDataset:
    """A bright square on black."""

    class_names = ("square",)
    dropped = bad_images = ()

    def __init__(self, length: int = 6):
        self.dropped, self.bad_images, self._length = [], [], length

    def __len__(self):
        return self._length

    def annotation(self, index):
        corner = 4 * (index % 6)
        boxes = np.array([[corner, corner, corner + SIDE, corner + SIDE]], "float32")
        return Annotation(f"{index}", 48, 48, boxes, np.zeros(1, "int32"), np.zeros(1, bool))

    def image(self, index):
        image, corner = np.zeros((48, 48, 3), "uint8"), 4 * (index % 6)
        image[corner : corner + SIDE, corner : corner + SIDE] = 255
        return image

    def masks(self, index):
        return None


@registry.TRANSFORMS.register(force=True)
class MyTransform:
    """A little darker."""

    def __call__(self, sample, rng):
        return sample._replace(image=sample.image * np.float32(rng.uniform(0.8, 1)))


@registry.EVALUATORS.register(force=True)
class MyEvaluator:
    """The share of images in which something was found."""

    def __call__(self, dataset, detections):
        share = float(np.mean([len(found.boxes) > 0 for found in detections.values()]))
        return {"AP": share, "AP50": share, "per_class": {"square": share}}


@registry.OPTIMIZERS.register(force=True)
class MyOptimizer(mx.optimizer.Optimizer):
    """Plain gradient descent."""

    def __init__(self, learning_rate, wd):
        super().__init__(learning_rate=learning_rate, wd=wd)

    def create_state(self, index, weight):
        return None

    def update(self, index, weight, grad, state):
        self._update_count(index)
        weight[:] = weight - self._get_lr(index) * self.rescale_grad * grad


@registry.SCHEDULES.register(force=True)
class MySchedule:
    def __call__(self, position):
        return 1 / (1 + position.step)


@registry.HOOKS.register(force=True)
class MyHook:
    """Counts steps in a file."""

    def __init__(self, path: str):
        self._path, self._steps = path, 0

    def start(self, run):
        pass

    def before_step(self, run):
        pass

    def after_epoch(self, run):
        pass

    def after_step(self, run):
        self._steps += 1

    def finish(self, run):
        with open(self._path, "w") as file:
            file.write(str(self._steps))

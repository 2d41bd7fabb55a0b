"""Images with objects and proposals, one a batch, on which the layers of an RCNN are fitted."""

import mxnet as mx
import numpy as np

from detkit.constants import CROWD
from detkit.data.batch import make_batch
from detkit.data.sample import Sample

NAMES = ("a", "b", "c")
CPU = mx.cpu()


class Images:
    """A loader of ``count`` images of 64 x 80 pixels: noise, and in it objects of three colours."""

    def __init__(self, count=4, proposals=30, labels=(0, 0, 1, 1, 2, 2), difficult=(), seed=0):
        rng = np.random.default_rng(seed)
        self._batches = [
            self._batch(rng, number, proposals, labels, difficult) for number in range(count)
        ]

    def _batch(self, rng, number, proposals, labels, difficult):
        image = rng.integers(0, 128, (64, 80, 3), dtype=np.uint8)
        boxes = random_boxes(rng, len(labels))
        for (x1, y1, x2, y2), label in zip(boxes.round().astype(int), labels):
            image[y1:y2, x1:x2, label] = 255
        near = np.repeat(boxes, 3, axis=0) + rng.normal(0, 0.6, (3 * len(boxes), 4))
        given = np.clip(np.concatenate([near, random_boxes(rng, proposals)]), 0, [80, 64, 80, 64])
        labels = np.array(labels, "int32")
        sample = Sample(
            f"image{number}",
            image,
            boxes,
            labels,
            np.isin(np.arange(len(labels)), difficult),
            proposals=given.astype("float32"),
        )
        return make_batch([sample], [(64, 80)], 16, [number], number)

    def __len__(self):
        return len(self._batches)

    def batches(self, epoch):
        return iter(self._batches)


def random_boxes(rng, count):
    """Boxes (n, 4) within 64 x 80 pixels, 10 to 30 pixels a side."""
    corners = rng.uniform(0, [50, 34], (count, 2))
    sides = rng.uniform(10, 30, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype("float32")


def features_by_hand(model, batch, boxes):
    """What the layers of classes and of boxes read of boxes (n, 4), one region after another."""
    inputs = (mx.nd.array(batch.images), mx.nd.array(batch.sizes))
    found = []
    for box in boxes:
        square = model.roi_extractor([model.normalize(*inputs)], mx.nd.array(box[None, None]))
        (cells,) = model.backbone(square)
        found.append([each.asnumpy()[0] for each in model.roi_head.features(mx.nd, cells)])
    return [np.stack(rows) for rows in zip(*found)]


def known(batch):
    """Objects, their labels, crowds and proposals of a batch of one image, without padding."""
    boxes, labels = batch.boxes[0], batch.labels[0]
    real = batch.proposal_scores[0] >= 0
    objects = boxes[labels >= 0], labels[labels >= 0].astype(int)
    return (*objects, boxes[labels == CROWD], batch.proposals[0][real])

"""The anchors that a training step matches with the objects of an image, for looking at them."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from detkit.data.batch import make_batch
from detkit.data.sample import Sample
from detkit.detections.overlap import pairwise_iou
from detkit.models import Network
from detkit.targets import RPNTargets
from detkit.targets.assigners import POSITIVE
from detkit.train_steps.step import TrainStep
from detkit.typing import NDArray


class MatchedAnchors(NamedTuple):
    """The P anchors of an image that are positive before the sampler draws from them.

    boxes: (P, 4) float32 in pixels of the network's input.
    objects: (P,) the index of the object that an anchor is matched with.
    levels: (P,) the index of its level, the finest first.
    iou: (P,) its IoU with that object.
    best: (G,) the largest IoU of each object with any anchor that takes part in the matching.
    """

    boxes: np.ndarray
    objects: np.ndarray
    levels: np.ndarray
    iou: np.ndarray
    best: np.ndarray


class AnchorMatcher:
    """A function from a Sample to the anchors that the training step matches with its objects.

    step: a training step with RPNTargets; ``targets_of`` says whether it has them.
    pad_multiple: the number that H and W of the network's input are multiples of.

    Neither the backbone nor a head is computed: anchors depend only on the sides of the maps.
    """

    def __init__(self, step: TrainStep, pad_multiple: int = 32) -> None:
        targets = targets_of(step)
        if targets is None:
            raise TypeError(f"{type(step).__name__}: expected targets of anchors, found none")
        self._targets, self._model, self._pad_multiple = targets, step.model, pad_multiple
        self._grids: Dict[Tuple[int, ...], List[NDArray]] = {}

    def __call__(self, sample: Sample) -> MatchedAnchors:
        """Returns the MatchedAnchors of a Sample after the transforms."""
        height, width = sample.image.shape[:2]
        batch = make_batch([sample], [(height, width)], self._pad_multiple)
        sizes, boxes, labels = map(mx.nd.array, (batch.sizes, batch.boxes, batch.labels))
        levels = self._anchors(batch.images.shape)
        together = mx.nd.concat(*levels, dim=1)
        assigned = self._targets.assigned(mx.nd, together, sizes, boxes, labels)
        labels_of, objects = (each.asnumpy()[0] for each in assigned)
        anchors = together.asnumpy()[0]
        rows = np.flatnonzero(labels_of == POSITIVE)
        matched = objects[rows].astype(int)
        iou = np.zeros(len(rows), np.float32)
        for row in set(matched.tolist()):
            mine = matched == row
            iou[mine] = pairwise_iou(anchors[rows[mine]], sample.boxes[row : row + 1])[:, 0]
        taking_part = self._targets.inside(mx.nd, together, sizes).asnumpy()[0] > 0
        best = [
            pairwise_iou(box[None], anchors[taking_part]).max(initial=0) for box in sample.boxes
        ]
        ends = np.cumsum([each.shape[1] for each in levels])
        return MatchedAnchors(
            anchors[rows],
            matched,
            np.searchsorted(ends, rows, side="right"),
            iou,
            np.array(best, np.float32),
        )

    def _anchors(self, shape: Tuple[int, ...]) -> List[NDArray]:
        """Returns the anchors (1, N, 4) of each level of images (B, 3, H, W)."""
        if shape not in self._grids:
            self._grids = {shape: grid_of(self._model, shape)}
        return self._grids[shape]


def grid_of(model: Network, shape: Tuple[int, ...]) -> List[NDArray]:
    """Returns the anchors (1, N, 4) of each level of a detector for images (B, 3, H, W)."""
    maps = mx.sym.Group(model.features(mx.sym.var("images"), mx.sym.var("sizes")))
    _, shapes, _ = maps.infer_shape(images=shape, sizes=(shape[0], 2))
    features = [mx.nd.zeros((1, 1, *each[2:])) for each in shapes]
    return list(model.anchors_of(mx.nd.zeros((1, *shape[1:])), features))


def targets_of(step: TrainStep) -> Optional[RPNTargets]:
    """Returns the part of a training step that makes the targets of anchors, or None."""
    parts = (getattr(step, name) for name in step.PARTS)
    return next((part for part in parts if isinstance(part, RPNTargets)), None)

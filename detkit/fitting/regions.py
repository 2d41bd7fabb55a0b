"""The regions of the training images: their features, and a sample of those that are too many."""

from typing import Iterator, List, NamedTuple, Protocol, Sequence, Tuple

import mxnet as mx
import numpy as np
from tqdm import tqdm

from detkit.constants import CROWD
from detkit.data.sample import Batch
from detkit.models import RCNN
from detkit.models.detectors.rcnn import groups_of
from detkit.typing import Context, PerLevel


class LoadsImages(Protocol):
    """The protocol of a loader whose batches have one image each, with proposals."""

    def __len__(self) -> int:
        """Returns the number of images."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yields the batches of an epoch."""


class Image(NamedTuple):
    """One image with its boxes in pixels of the network's input.

    number: in the dataset. features: the input itself, as a list of one map (1, 3, H, W).
    objects: (G, 4) with labels (G,); crowds: (C, 4); proposals: (R, 4).
    """

    number: int
    features: PerLevel
    objects: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    proposals: np.ndarray


def images_of(model: RCNN, loader: LoadsImages, ctx: Context, what: str) -> Iterator[Image]:
    """Yields every Image of a loader that can be read; a terminal shows how far it is.

    what: the name of this pass over the images, for the terminal.
    """
    for batch in tqdm(loader.batches(epoch=0), what, len(loader), unit=" images", disable=None):
        images, sizes = (mx.nd.array(array, ctx=ctx) for array in (batch.images, batch.sizes))
        boxes, labels = batch.boxes[0], batch.labels[0]
        yield Image(
            batch.indices[0],
            model.features(images, sizes),
            boxes[labels >= 0],
            labels[labels >= 0].astype(int),
            boxes[labels == CROWD],
            batch.array("proposals")[0][batch.array("proposal_scores")[0] >= 0],
        )


def features_of(model: RCNN, image: Image, boxes: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Returns what the layers of the classes and of the boxes read of boxes (n, 4): (n, width)."""
    head = model.roi_head
    found = [
        [np.zeros((0, layer.weight.shape[1]), np.float32)] for layer in (head.classes, head.boxes)
    ]
    ctx = image.features[0].context
    for rois in groups_of(mx.nd.array(boxes[None], ctx=ctx)) if len(boxes) else ():
        arrays = head.features(mx.nd, model.region_features(image.features, rois))
        for parts, array in zip(found, arrays):
            parts.append(array.asnumpy())
    hidden, cells = map(np.concatenate, found)
    return hidden, cells


class Reservoir:
    """A uniform sample of rows that come one after another (Vitter 1985, algorithm R).

    size: the largest number of rows. seed: of the draws.
    """

    def __init__(self, size: int, seed: Sequence[int]) -> None:
        self._size, self._seen = size, 0
        self._rng = np.random.default_rng(seed)
        self._rows: List[Tuple[np.ndarray, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, *columns: np.ndarray) -> None:
        """Adds rows, or lets them replace others; columns: arrays (n, ...) of the rows."""
        for row in zip(*columns):
            self._seen += 1
            copied = tuple(map(np.copy, row))  # a view would keep the array of all rows
            if len(self._rows) < self._size:
                self._rows.append(copied)
                continue
            place = int(self._rng.integers(self._seen))
            if place < self._size:
                self._rows[place] = copied

    def columns(self) -> Tuple[np.ndarray, ...]:
        """Returns the columns of the sampled rows, of which there is one at least."""
        return tuple(map(np.stack, zip(*self._rows)))

"""The views of an image in test-time augmentation: several sizes, each upright and mirrored."""

from typing import List, Mapping, Optional, Sequence

import numpy as np

from detkit.data.batch import make_batch
from detkit.data.sample import Batch, Sample, Transform, Transforms
from detkit.data.transforms import HorizontalFlip, Resize, VerticalFlip, apply

MIRRORS: Mapping[str, Transform] = {"horizontal": HorizontalFlip(1), "vertical": VerticalFlip(1)}
AXES = {"horizontal": 1, "vertical": 0}


class View:
    """One way in which the network sees an image.

    transforms: the transforms of an image before the network.
    flip: "horizontal" mirrors left and right after them, "vertical" top and bottom; None: upright.
    pad_multiple: see make_batch.
    """

    def __init__(self, transforms: Transforms, flip: Optional[str], pad_multiple: int) -> None:
        self._transforms = [*transforms, MIRRORS[flip]] if flip else list(transforms)
        self.flip, self._axis = flip, AXES[flip] if flip else None
        self._pad_multiple = pad_multiple

    def batch(self, sample: Sample) -> Batch:
        """Returns the Batch of this view alone; sample: the image as it is on disk."""
        height, width = sample.image.shape[:2]
        seen = apply(self._transforms, sample, np.random.default_rng(0))
        return make_batch([seen], [(height, width)], self._pad_multiple)

    def turned(self, boxes: np.ndarray, batch: Batch) -> np.ndarray:
        """Returns boxes (1, N, 4) in pixels of the batch as if the view were upright.

        Upright boxes become those of the view, too: a mirror is its own inverse.
        """
        if self._axis is None:
            return boxes
        low, high = (1, 3) if self._axis == 0 else (0, 2)
        side, turned = batch.sizes[0, self._axis], boxes.copy()
        turned[..., low], turned[..., high] = side - boxes[..., high], side - boxes[..., low]
        return turned

    def turned_cells(self, cells: np.ndarray) -> np.ndarray:
        """Returns cells (..., M, M) of boxes, of masks or heatmaps, as if the view were upright."""
        return cells if self._axis is None else np.flip(cells, cells.ndim - 2 + self._axis)


def views_of(
    transforms: Transforms,
    shorts: Sequence[int],
    long: Optional[int],
    flips: Sequence[str],
    pad_multiple: int,
) -> List[View]:
    """Returns the views of every size, each upright and then with each of the flips.

    transforms: those of the detector. Their Resize takes the sizes; without one, a Resize is added
        at the end.
    shorts: the shorter sides in pixels; none: the transforms stay as they are.
    long: the limit of the longer side in pixels; None keeps its ratio to the shorter side.

    Raises ValueError if ``long`` is None and the transforms have no Resize.
    """
    sizes = [resized(transforms, short, long) for short in shorts] or [list(transforms)]
    return [View(size, flip, pad_multiple) for size in sizes for flip in (None, *flips)]


def resized(transforms: Transforms, short: int, long: Optional[int]) -> Transforms:
    """Returns the transforms with another shorter side; see views_of."""
    if any(isinstance(each, Resize) for each in transforms):
        return [
            _other(each, short, long) if isinstance(each, Resize) else each for each in transforms
        ]
    if long is None:
        raise ValueError(
            "long: expected a number of pixels, because data.val_transforms have no Resize whose "
            "ratio of long to short could be kept, found null"
        )
    return [*transforms, Resize(short, long)]


def _other(own: Resize, short: int, long: Optional[int]) -> Resize:
    return Resize(short, long or round(own.long * short / own.shorts[0]), own.like)

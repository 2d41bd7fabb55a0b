"""Parts of an image by SSD's rule or of a bounded aspect, and an image on a larger canvas."""

import math
from typing import Sequence, Tuple

import numpy as np

from detkit.data.arguments import colour, limits, probability
from detkit.data.augment.geometry import FILL, placing, warped
from detkit.data.sample import Sample
from detkit.detections.overlap import pairwise_iou
from detkit.registry import TRANSFORMS

TRIES = 50  # to find a part of the image, as in SSD's code
LARGEST_CANVAS = 4_000_000  # pixels


@TRANSFORMS.register()
class RandomCrop:
    """Cuts out a part of the image that overlaps an object enough; for training only.

    iou: the least IoU of the part with one of the objects. One of the values is drawn for each
        image, and 0 asks for none.
    size: the smallest and the largest area of the part as a share of the image's, in (0, 1].
    aspect: the smallest and the largest aspect of the part, width over height, in units of the
        image's aspect; in [0.1, 10].
    p: the probability that an image is cut.

    An object stays one if its centre is in the part (Liu et al. 2016, section 2.2). The rest of
    another one becomes difficult. A part has at least one such centre, unless the image has no
    objects. An image for which no part is found in 50 tries stays as it is. The default of ``p``
    gives the whole image the same chance as each ``iou``, and the other defaults are the paper's.
    """

    training_only = True

    def __init__(
        self,
        iou: Sequence[float] = (0, 0.1, 0.3, 0.5, 0.7, 0.9),
        size: Tuple[float, float] = (0.1, 1),
        aspect: Tuple[float, float] = (0.5, 2),
        p: float = 6 / 7,
    ) -> None:
        if not iou or not all(0 <= value < 1 for value in iou):
            raise ValueError(f"iou: expected numbers in [0, 1), found {iou!r}")
        self.iou = tuple(iou)
        self.size = limits("size", size, 0.001, 1)
        self.aspect = limits("aspect", aspect, 0.1, 10)
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        least = rng.choice(self.iou)
        for _ in range(TRIES):
            part = self._part(sample, rng)
            clear = _centres_in(part, sample.boxes)
            if self._fits(part, sample, clear, least):
                x, y, right, below = part.astype(int).tolist()
                shift = placing((1, 1), (-x, -y))
                return warped(sample, shift, (right - x, below - y), clear=clear)
        return sample

    def _part(self, sample: Sample, rng: np.random.Generator) -> np.ndarray:
        """Returns a random part of the image, x1 y1 x2 y2 in whole pixels."""
        height, width = sample.image.shape[:2]
        area, aspect = rng.uniform(*self.size), math.exp(rng.uniform(*np.log(self.aspect)))
        aspect = float(np.clip(aspect, area, 1 / area))  # both sides fit into the image
        w = max(1, round(width * math.sqrt(area * aspect)))
        h = max(1, round(height * math.sqrt(area / aspect)))
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        return np.array([x, y, x + w, y + h], np.float32)

    @staticmethod
    def _fits(part: np.ndarray, sample: Sample, clear: np.ndarray, least: float) -> bool:
        objects = ~sample.difficult
        if not objects.any():
            return True
        overlaps = pairwise_iou(part[None], sample.boxes[objects])
        return bool(clear[objects].any() and overlaps.max() >= least)


@TRANSFORMS.register()
class Expand:
    """Puts the image at a random place of a larger canvas; for training only.

    ratio: the smallest and the largest factor of the sides, in [1, 10]. It is smaller for images
        whose canvas would have more than 4 million pixels.
    fill: the colour of the canvas around the image.
    p: the probability that an image is expanded.

    With a Resize behind it, objects become smaller. The defaults are SSD's (Liu et al. 2016,
    section 3.6, "zoom out").
    """

    training_only = True

    def __init__(
        self,
        ratio: Tuple[float, float] = (1, 4),
        fill: Sequence[float] = FILL,
        p: float = 0.5,
    ) -> None:
        self.ratio = limits("ratio", ratio, 1, 10)
        self.fill = colour("fill", fill)
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        height, width = sample.image.shape[:2]
        most = max(1.0, math.sqrt(LARGEST_CANVAS / (height * width)))
        ratio = min(rng.uniform(*self.ratio), most)
        size = int(width * ratio), int(height * ratio)
        x, y = rng.integers(size[0] - width + 1), rng.integers(size[1] - height + 1)
        return warped(sample, placing((1, 1), (x, y)), size, self.fill)


@TRANSFORMS.register()
class AspectCrop:
    """Cuts the longer side of an image whose aspect is extreme; for training only.

    low, high: the smallest and the largest aspect, width over height, that an image keeps; in
        [0.1, 10], with ``low`` at most ``high``.

    An image outside of the bounds is cut along its longer side, to the whole pixel that is next to
    the bound; its other side stays. The part is at a random place that contains all objects, if
    they fit into one part. Otherwise it contains an object that is drawn, or as much of it as fits.
    Objects that leave the image are dropped, and an object of which less than a tenth is left
    becomes difficult.

    The bounds are TRAIN.ASPECT_LO and TRAIN.ASPECT_HI of Detectron.pytorch (lib/roi_data), with
    their defaults, and cutting the longer side around the objects is its TRAIN.ASPECT_CROPPING:
    images of similar aspects need less padding in a batch. That a part always keeps an object is
    detkit's own rule.
    """

    training_only = True

    def __init__(self, low: float = 0.5, high: float = 2.0) -> None:
        self.low, self.high = limits("low, high", (low, high), 0.1, 10)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        size = [width, height]
        if width > self.high * height:
            axis, size[0] = 0, max(1, math.floor(self.high * height))
        elif width < self.low * height:
            axis, size[1] = 1, max(1, math.floor(width / self.low))
        else:
            return sample
        shift = [0, 0]
        shift[axis] = -self._start(sample, axis, size[axis], rng)
        return warped(sample, placing((1, 1), (shift[0], shift[1])), (size[0], size[1]))

    @staticmethod
    def _start(sample: Sample, axis: int, side: int, rng: np.random.Generator) -> int:
        """Returns the first pixel of the part along an axis, 0 for x and 1 for y."""
        whole = sample.image.shape[1 - axis]
        ends = sample.boxes[~sample.difficult][:, [axis, axis + 2]]
        least, most = 0, whole - side
        if len(ends):
            first, last = math.floor(ends[:, 0].min()), math.ceil(ends[:, 1].max())
            if last - first > side:
                one = ends[rng.integers(len(ends))]
                first, last = math.floor(one[0]), math.ceil(one[1])
            # A part that begins between the two holds the object, or lies within a longer one.
            between = np.clip(sorted((last - side, first)), 0, whole - side)
            least, most = between.tolist()
        return int(rng.integers(least, most + 1))


def _centres_in(part: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns which boxes (G, 4) have their centre in a part: (G,) bool."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside: np.ndarray = ((centres >= part[:2]) & (centres < part[2:])).all(axis=1)
    return inside

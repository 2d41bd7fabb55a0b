"""Mosaic: four images in one."""

from typing import List, Sequence, Tuple

import numpy as np

from detkit.data.arguments import colour, limits, probability, sides
from detkit.data.augment.geometry import FILL, LONGEST_SIDE, VISIBLE, joined, placing, warped
from detkit.data.sample import Draw, Sample
from detkit.registry import TRANSFORMS


@TRANSFORMS.register()
class Mosaic:
    """Puts parts of the image and of three others around a point; for training only.

    size: (height, width) of the result in pixels.
    scale: the smallest and the largest factor of an image, each in [0.01, 10]. With 1, the image
        fits into ``size`` and keeps its aspect.
    junction: the smallest and the largest place of the point along each axis, as a share of the
        side, in [0, 1].
    fill: the colour of what no image covers.
    visible: the share of an object, in [0, 1], below which it becomes difficult.
    p: the probability that an image becomes a mosaic.

    An image that is larger than its quarter shows a random part, and a smaller one touches the
    point. Mosaics are YOLOv4's (Bochkovskiy et al. 2020, section 3.3); the ranges are YOLOv5's.
    """

    training_only = mixes = True

    def __init__(
        self,
        size: Sequence[int] = (640, 640),
        scale: Tuple[float, float] = (0.5, 1.5),
        junction: Tuple[float, float] = (0.25, 0.75),
        fill: Sequence[float] = FILL,
        visible: float = VISIBLE,
        p: float = 1.0,
    ) -> None:
        self.size = sides("size", size, LONGEST_SIDE)
        self.scale = limits("scale", scale, 0.01, 10)
        self.junction = limits("junction", junction, 0, 1)
        self.fill = colour("fill", fill)
        self.visible = probability(visible, "visible")
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw) -> Sample:
        if rng.random() >= self.p:
            return sample
        height, width = self.size
        x, y = (
            int(np.clip(round(side * rng.uniform(*self.junction)), 1, side - 1))
            for side in (width, height)
        )
        canvas = np.empty((height, width, 3), sample.image.dtype)
        parts: List[Sample] = []
        for number, (left, top, right, bottom) in enumerate(
            [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        ):
            room = right - left, bottom - top
            part = self._part(draw() if number else sample, room, (left == 0, top == 0), rng)
            canvas[top:bottom, left:right] = part.image
            parts.append(warped(part, placing((1, 1), (left, top)), (width, height)))
        return joined(*parts)._replace(image=canvas)

    def _part(
        self,
        sample: Sample,
        room: Tuple[int, int],
        at_end: Tuple[bool, bool],
        rng: np.random.Generator,
    ) -> Sample:
        """Returns the part of an image that fills a quarter.

        room: (width, height) of the quarter in pixels.
        at_end: for x and y, whether the point is at the quarter's end.
        """
        height, width = sample.image.shape[:2]
        factor = rng.uniform(*self.scale) * min(self.size[0] / height, self.size[1] / width)
        scaled = max(1, round(width * factor)), max(1, round(height * factor))
        shift = []
        for side, there, end in zip(scaled, room, at_end):
            drawn = -int(rng.integers(max(0, side - there) + 1))
            shift.append(there - side if end and side < there else drawn)
        matrix = placing((scaled[0] / width, scaled[1] / height), (shift[0], shift[1]))
        return warped(sample, matrix, room, self.fill, self.visible)

"""Large-scale jittering: an image in a random size, on a canvas of one size."""

from typing import Sequence, Tuple

import numpy as np

from detkit.data.arguments import colour, limits, probability, sides
from detkit.data.augment.geometry import FILL, LONGEST_SIDE, VISIBLE, placing, warped
from detkit.data.sample import Sample
from detkit.registry import TRANSFORMS

LEAST_SCALE, MOST_SCALE = 0.01, 10


@TRANSFORMS.register()
class ScaleJitter:
    """Scales an image by a random factor, and crops or pads it to one size; for training only.

    size: (height, width) of the result in pixels.
    scale: the smallest and the largest factor, each in [0.01, 10]. With 1, the image fits into
        ``size`` and keeps its aspect.
    fill: the colour below and to the right of a smaller image.
    visible: the share of an object, in [0, 1], below which it becomes difficult.

    The defaults are large-scale jittering (Ghiasi et al. 2021, section 3, "LSJ"); standard
    jittering has [0.8, 1.25]. The window in a larger image is drawn, and a smaller image lies at
    the top left. All results have one size, for which the network is prepared once.
    """

    training_only = True

    def __init__(
        self,
        size: Sequence[int] = (1024, 1024),
        scale: Tuple[float, float] = (0.1, 2.0),
        fill: Sequence[float] = FILL,
        visible: float = VISIBLE,
    ) -> None:
        self.size = sides("size", size, LONGEST_SIDE)
        self.scale = limits("scale", scale, LEAST_SCALE, MOST_SCALE)
        self.fill = colour("fill", fill)
        self.visible = probability(visible, "visible")

    def largest_scale(self, height: int, width: int) -> float:
        """Returns the largest factor by which an image of this size in pixels is scaled."""
        return self.scale[1] * min(self.size[0] / height, self.size[1] / width)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        factor = rng.uniform(*self.scale) * min(self.size[0] / height, self.size[1] / width)
        scaled = max(1, round(width * factor)), max(1, round(height * factor))
        # A larger image is shifted to the left and up, at most until its end is the canvas's.
        x, y = (
            -int(rng.integers(max(0, side - room) + 1))
            for side, room in zip(scaled, self.size[::-1])
        )
        matrix = placing((scaled[0] / width, scaled[1] / height), (x, y))
        return warped(sample, matrix, self.size[::-1], self.fill, self.visible)

"""Cutout: squares of one colour over the image."""

from typing import Sequence, Tuple

import numpy as np

from detkit.data.arguments import colour, limits, probability
from detkit.data.augment.geometry import FILL, VISIBLE, move_fields, visible_shares
from detkit.data.sample import Sample
from detkit.registry import TRANSFORMS

MOST_HOLES = 100


@TRANSFORMS.register()
class Cutout:
    """Covers random squares of the image; for training only.

    holes: the number of squares, from 1 to 100.
    side: the smallest and the largest side of a square as a share of the image's shorter side, in
        [0, 1].
    fill: the colour of the squares.
    visible: the share of an object, in [0, 1], below which it becomes difficult.
    p: the probability that an image is covered.

    A square has its centre anywhere in the image and may be cut by the border (DeVries and Taylor
    2017, section 3.2). Boxes and masks stay whole: the network learns to complete them. Keypoints
    below a square are hidden. The paper covers half the side of images of one object; the defaults
    leave most objects visible.
    """

    training_only = True

    def __init__(
        self,
        holes: int = 3,
        side: Tuple[float, float] = (0.1, 0.3),
        fill: Sequence[float] = FILL,
        visible: float = VISIBLE,
        p: float = 0.5,
    ) -> None:
        if not 1 <= holes <= MOST_HOLES:
            raise ValueError(f"holes: expected a number from 1 to {MOST_HOLES}, found {holes!r}")
        self.holes = holes
        self.side = limits("side", side, 0, 1)
        self.fill = colour("fill", fill)
        self.visible = probability(visible, "visible")
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        height, width = sample.image.shape[:2]
        covered = np.zeros((height, width), bool)
        for _ in range(self.holes):
            half = rng.uniform(*self.side) * min(height, width) / 2
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            top, bottom, left, right = (
                max(0, round(at)) for at in (y - half, y + half, x - half, x + half)
            )
            covered[top:bottom, left:right] = True
        image = sample.image.copy()
        image[covered] = self.fill
        hidden = visible_shares(sample, covered) < self.visible
        moved = move_fields(sample, "cover", covered)
        return moved._replace(image=image, difficult=sample.difficult | hidden)

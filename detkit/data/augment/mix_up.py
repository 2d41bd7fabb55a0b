"""Mixup: the weighted mean of two images."""

from typing import Sequence

import numpy as np

from detkit.data.arguments import colour, number, probability
from detkit.data.augment.geometry import FILL, VISIBLE, joined, like, placing, warped
from detkit.data.sample import Draw, Sample
from detkit.registry import TRANSFORMS


@TRANSFORMS.register()
class MixUp:
    """Adds another image to an image, with the objects of both; for training only.

    alpha: the share of the image is drawn from Beta(alpha, alpha); in (0, 1000]. The larger it is,
        the nearer are all shares to a half.
    fill: the colour of what one of the two images does not cover.
    visible: the share below which the objects of an image become difficult, in [0, 1].
    p: the probability that an image is mixed.

    Both images keep their size and lie at the top left (Zhang et al. 2019, "Bag of Freebies for
    Training Object Detection Neural Networks", section 3.1, after Zhang et al. 2018). Objects are
    not weighted by their share: the defaults are YOLOv5's, whose shares are all near a half.
    """

    training_only = mixes = True

    def __init__(
        self,
        alpha: float = 32,
        fill: Sequence[float] = FILL,
        visible: float = VISIBLE,
        p: float = 0.1,
    ) -> None:
        self.alpha = number("alpha", alpha, 0.001, 1000)
        self.fill = colour("fill", fill)
        self.visible = probability(visible, "visible")
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw) -> Sample:
        if rng.random() >= self.p:
            return sample
        share, other = rng.beta(self.alpha, self.alpha), draw()
        height, width = np.maximum(sample.image.shape[:2], other.image.shape[:2]).tolist()
        mixed, parts = np.zeros((height, width, 3), np.float32), []
        for each, weight in ((sample, share), (other, 1 - share)):
            placed = warped(each, placing((1, 1), (0, 0)), (width, height), self.fill)
            mixed += np.float32(weight) * placed.image
            faint = np.full(len(placed.boxes), weight < self.visible)
            parts.append(placed._replace(difficult=placed.difficult | faint))
        return joined(*parts)._replace(image=like(mixed, sample.image.dtype))

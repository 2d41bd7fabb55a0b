"""Rotation, shear, scale and shift of an image in one step."""

import math
from typing import Sequence, Tuple

import numpy as np

from detkit.data.arguments import colour, limits, number, probability
from detkit.data.augment.geometry import FILL, VISIBLE, warped
from detkit.data.sample import Sample
from detkit.registry import TRANSFORMS


@TRANSFORMS.register()
class Affine:
    """Rotates, shears, scales and shifts an image around its centre; for training only.

    angle: the largest rotation in degrees, in [0, 180].
    shear: the largest shear along each axis in degrees, in [0, 45].
    scale: the smallest and the largest factor, each in [0.1, 10].
    translate: the largest shift along each axis as a share of the image's side, in [0, 1].
    fill: the colour of what the image does not cover.
    visible: the share of an object, in [0, 1], below which it becomes difficult.
    p: the probability that an image is moved.

    The image keeps its size. The box of an object with a mask is that of the moved mask. Any other
    box is the one around its moved corners, which is too large for a rotation that is not small.
    Rotation, shear and shift are YOLOX's defaults (Ge et al. 2021), and the scale is YOLOv5's.
    """

    training_only = True

    def __init__(
        self,
        angle: float = 10,
        shear: float = 2,
        scale: Tuple[float, float] = (0.5, 1.5),
        translate: float = 0.1,
        fill: Sequence[float] = FILL,
        visible: float = VISIBLE,
        p: float = 1.0,
    ) -> None:
        self.angle = number("angle", angle, 0, 180)
        self.shear = number("shear", shear, 0, 45)
        self.scale = limits("scale", scale, 0.1, 10)
        self.translate = number("translate", translate, 0, 1)
        self.fill = colour("fill", fill)
        self.visible = probability(visible, "visible")
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        height, width = sample.image.shape[:2]
        turn = math.radians(rng.uniform(-self.angle, self.angle))
        along_x, along_y = np.tan(np.radians(rng.uniform(-self.shear, self.shear, 2)))
        factor = rng.uniform(*self.scale)
        shift = rng.uniform(-self.translate, self.translate, 2) * (width, height)

        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = factor * np.array([[1, along_x], [along_y, 1]]) @ rotation
        centre = np.array([width, height]) / 2
        matrix = np.column_stack([linear, centre + shift - linear @ centre])
        return warped(sample, matrix, (width, height), self.fill, self.visible)

"""Sample -> Sample: resizing, flipping and changes of colour.

A transform is any callable (sample, rng) that returns a new Sample and leaves its input as it
was. All chance comes from the generator that it is given, so that a sample depends on (seed,
epoch, index) alone. One that moves boxes uses Sample.move_boxes: there may be proposals, too.
"""

from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.data.resize import FRAMEWORKS, resample, resized_size
from detkit.data.sample import Sample, Transforms
from detkit.errors import DataError
from detkit.registry import TRANSFORMS


def apply(transforms: Transforms, sample: Sample, rng: np.random.Generator) -> Sample:
    """Put a sample through the transforms, the first one first.

    Raises DataError for one that moves the objects and leaves proposals or fields where they were.
    """
    for transform in transforms:
        given, sample = sample, transform(sample, rng)
        if sample.image is given.image or sample.boxes is given.boxes:
            continue
        name = type(transform).__name__
        if given.proposals is not None and sample.proposals is given.proposals:
            raise DataError(
                f"the transform {name} changed the image and its objects' boxes, and not the "
                "proposals; Sample.move_boxes moves both"
            )
        if given.fields and sample.fields is given.fields:
            raise DataError(
                f"the transform {name} changed the image and its objects' boxes, and not the "
                f"fields {', '.join(given.fields)}; Sample.move_fields moves them"
            )
    return sample


@TRANSFORMS.register()
class Resize:
    """Scale an image until its shorter side is `short`, or its longer side `long` if that is less.

    short: pixels; of several values one is drawn for each image (multi-scale training).
    long: the most pixels that the longer side may have.
    like: the pixels that another framework's detectors look at. "torchvision", to 1e-6: sides
        rounded down instead of to the nearest number, pixels not rounded at all. "detectron2":
        Pillow's bilinear filter, which leaves no pixel out where an image shrinks.
        "gluoncv": bicubic as in MXNet, to the bit. null: OpenCV's bilinear.

    600 and 1000 are Faster R-CNN's (Ren et al. 2015, section 3.3). Boxes are scaled by the exact
    ratio of each axis, which rounding to whole pixels makes differ a little from each other.
    """

    def __init__(
        self,
        short: Union[int, Sequence[int]] = 600,
        long: int = 1000,
        like: Optional[str] = None,
    ):
        self.shorts = (short,) if isinstance(short, (int, np.integer)) else tuple(short)
        self.long, self.like = long, like
        if not self.shorts or min(self.shorts) < 1:
            raise ValueError(f"Resize: short is {short!r}, expected pixels, at least 1")
        if long < max(self.shorts):
            raise ValueError(
                f"Resize: long is {long!r}, expected at least {max(self.shorts)}, the largest short"
            )
        if like is not None and like not in FRAMEWORKS:
            raise ValueError(
                f"Resize: like is one of {', '.join(FRAMEWORKS)}, or null, not {like!r}"
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        short = self.shorts[0] if len(self.shorts) == 1 else rng.choice(self.shorts)
        size = resized_size(height, width, short, self.long, self.like)
        ratio = np.array([size[0] / width, size[1] / height] * 2, np.float32)
        moved = sample.move_boxes(lambda boxes: boxes * ratio)
        moved = moved.move_fields(lambda field: field.scale(*ratio[:2]))
        return moved._replace(
            image=resample(sample.image, size, self.like),
            masks=_resize_masks(sample.masks, size),
        )


@TRANSFORMS.register()
class HorizontalFlip:
    """Mirror left and right with probability `p`; for training only."""

    mirrors = True

    def __init__(self, p: float = 0.5):
        self.p = _probability("HorizontalFlip", p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _mirror(sample, axis=1) if rng.random() < self.p else sample


@TRANSFORMS.register()
class VerticalFlip:
    """Mirror top and bottom with probability `p`; for training only."""

    mirrors = True

    def __init__(self, p: float = 0.5):
        self.p = _probability("VerticalFlip", p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _mirror(sample, axis=0) if rng.random() < self.p else sample


@TRANSFORMS.register()
class Photometric:
    """Change brightness, contrast, saturation and hue, each with probability `p`.

    brightness: the most that is added to or taken from every channel, of 255.
    contrast, saturation: (least, greatest) factor.
    hue: the most degrees that the hue is turned either way.

    The ranges are those of SSD (Liu et al. 2016, section 2.2, "photo-metric distortions", after
    Howard 2013), and so is the order: contrast comes before the change of saturation and hue or
    after it, by chance.
    """

    def __init__(
        self,
        brightness: float = 32,
        contrast: Tuple[float, float] = (0.5, 1.5),
        saturation: Tuple[float, float] = (0.5, 1.5),
        hue: float = 18,
        p: float = 0.5,
    ):
        if not 0 <= brightness <= 255:
            raise ValueError(f"Photometric: brightness is {brightness!r}, expected 0 to 255")
        if not 0 <= hue <= 180:
            raise ValueError(f"Photometric: hue is {hue!r}, expected 0 to 180 degrees")
        self.brightness = brightness
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = hue
        self.p = _probability("Photometric", p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        delta = self._draw(rng, -self.brightness, self.brightness, neutral=0)
        contrast = self._draw(rng, *self.contrast, neutral=1)
        saturation = self._draw(rng, *self.saturation, neutral=1)
        turn = self._draw(rng, -self.hue, self.hue, neutral=0)
        contrast_first = rng.random() < 0.5

        image = sample.image.astype(np.float32) + np.float32(delta)
        if contrast_first:
            image = image * np.float32(contrast)
        if saturation != 1 or turn != 0:
            image = _change_colour(image, saturation, turn)
        if not contrast_first:
            image = image * np.float32(contrast)
        image = np.clip(image, 0, 255)
        if sample.image.dtype == np.uint8:
            image = image.round().astype(np.uint8)
        return sample._replace(image=image)

    def _draw(self, rng: np.random.Generator, low: float, high: float, neutral: float) -> float:
        value = rng.uniform(low, high)
        return value if rng.random() < self.p else neutral


def _resize_masks(masks: Optional[np.ndarray], size: Tuple[int, int]) -> Optional[np.ndarray]:
    """(G, H, W) -> (G, height, width) for size (width, height)."""
    if masks is None:
        return None
    resized = np.zeros((len(masks), size[1], size[0]), masks.dtype)
    for mask, target in zip(masks, resized):
        target[:] = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    return resized


def _mirror(sample: Sample, axis: int) -> Sample:
    """Turn the image around along axis 0 (top and bottom) or 1 (left and right)."""
    low, high = (1, 3) if axis == 0 else (0, 2)

    def mirrored(boxes: np.ndarray) -> np.ndarray:
        turned = boxes.copy()
        turned[:, low] = sample.image.shape[axis] - boxes[:, high]
        turned[:, high] = sample.image.shape[axis] - boxes[:, low]
        return turned

    masks = sample.masks
    moved = sample.move_boxes(mirrored)
    moved = moved.move_fields(lambda field: field.mirror(axis, sample.image.shape[axis]))
    return moved._replace(
        image=np.ascontiguousarray(np.flip(sample.image, axis)),
        masks=None if masks is None else np.ascontiguousarray(np.flip(masks, axis + 1)),
    )


def _change_colour(image: np.ndarray, saturation: float, turn: float) -> np.ndarray:
    """Multiply the saturation and turn the hue (degrees) of an (H, W, 3) float32 image."""
    hsv = cv2.cvtColor(np.clip(image, 0, 255), cv2.COLOR_RGB2HSV)
    hsv[:, :, 0] = (hsv[:, :, 0] + turn) % 360
    hsv[:, :, 1] = np.minimum(hsv[:, :, 1] * saturation, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _probability(transform: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{transform}: p is {p!r}, expected a probability from 0 to 1")
    return p


def _factors(name: str, factors: Sequence[float]) -> Tuple[float, float]:
    if len(factors) != 2 or not 0 <= factors[0] <= factors[1]:
        raise ValueError(
            f"Photometric: {name} is {factors!r}, expected (least, greatest), both at least 0"
        )
    return factors[0], factors[1]

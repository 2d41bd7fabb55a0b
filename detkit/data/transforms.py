"""Transforms of samples: resizing, flipping and changes of colour.

A transform is any callable (sample, rng) that returns a new Sample and leaves its input unchanged.
It draws all random numbers from ``rng``, so that a sample depends on (seed, epoch, index) alone. A
transform that moves boxes uses Sample.move_boxes, because a sample may have proposals, too. A true
attribute ``mirrors`` says that the transform mirrors images, and ``training_only`` that it
is for training for another reason: data.val_transforms refuse both. A transform with ``mixes`` is
called with (sample, rng, draw) and takes further images from draw(). If the first transform has a
method ``largest_scale(height, width)``, the Loader may decode JPEGs in a smaller size.
"""

from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.data.arguments import factors, probability
from detkit.data.resize import FRAMEWORKS, resample, resized_size
from detkit.data.sample import Draw, Sample, Transform, Transforms
from detkit.errors import DataError
from detkit.registry import TRANSFORMS


def apply(
    transforms: Transforms,
    sample: Sample,
    rng: np.random.Generator,
    draw: Optional[Draw] = None,
) -> Sample:
    """Applies the transforms to a sample, the first one first.

    draw: draws another image of the dataset, for a transform that mixes images. The transforms
        before it are applied to that image, too.

    Raises DataError for a transform that moves the boxes and does not move proposals or fields, and
    for one that returns what no network can be trained on, such as a box without area.
    """
    for position, transform in enumerate(transforms):
        given = sample
        if getattr(transform, "mixes", False):
            sample = transform(given, rng, _draw_for(transforms, position, rng, draw))
        else:
            sample = transform(given, rng)
        fault = fault_of(sample)
        if fault and not fault_of(given):
            raise DataError(
                f"image {given.image_id!r}: transform {_name(transform)}: expected {fault}; "
                "correct the transform, or drop what it cannot keep"
            )
        if sample.image is given.image or sample.boxes is given.boxes:
            continue
        if given.proposals is not None and sample.proposals is given.proposals:
            raise DataError(
                f"transform {_name(transform)}: expected the proposals to be moved with the boxes, "
                "found them unchanged; use Sample.move_boxes, which moves both"
            )
        if given.fields and sample.fields is given.fields:
            raise DataError(
                f"transform {_name(transform)}: expected the fields {', '.join(given.fields)} to "
                "be moved with the boxes, found them unchanged; use Sample.move_fields"
            )
    return sample


def fault_of(sample: Sample) -> Optional[str]:
    """Returns "X, found Y" for a sample that cannot be trained on, and None for any other.

    The image is (H, W, 3), every box is finite and has an area in the image, and there is a label
    and, with masks, a mask of the image's size for each box.
    """
    if not isinstance(sample, Sample):
        return f"a Sample, found {type(sample).__name__}"
    image, boxes = sample.image, sample.boxes
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype.kind not in "uif":
        return f"an image (H, W, 3) of numbers, found {image.dtype} {image.shape}"
    height, width = image.shape[:2]
    counts = [len(boxes), len(sample.labels), len(sample.difficult)]
    if boxes.shape != (len(boxes), 4) or len(set(counts)) > 1:
        return f"boxes (G, 4) and G labels and difficult, found {boxes.shape} and {counts[1:]}"
    if sample.masks is not None and sample.masks.shape != (len(boxes), height, width):
        return f"masks {(len(boxes), height, width)}, found {sample.masks.shape}"
    inside = np.clip(boxes, 0, (width, height) * 2)
    bad = ~((inside[:, 2:] > inside[:, :2]).all(axis=1) & np.isfinite(boxes).all(axis=1))
    if bad.any():
        found = boxes[bad][0].tolist()
        return f"boxes with an area in the image of {width} x {height} pixels, found {found}"
    return None


def _draw_for(
    transforms: Transforms, position: int, rng: np.random.Generator, draw: Optional[Draw]
) -> Draw:
    """Returns what draws the further images of the transform at a position."""
    if draw is None:
        raise DataError(
            f"transform {_name(transforms[position])}: expected a dataset, whose images it mixes, "
            "found one image alone; leave the transform out"
        )
    before, drawn = transforms[:position], draw
    return lambda: apply(before, drawn(), rng, drawn)


def _name(transform: Transform) -> str:
    return getattr(transform, "__name__", type(transform).__name__)


@TRANSFORMS.register()
class Resize:
    """Scales an image to the shorter side `short`, or less if the longer side would exceed `long`.

    short: the shorter side in pixels. If there are several values, one is drawn for each image
        (multi-scale training).
    long: the limit of the longer side in pixels.
    like: the framework whose pixels are reproduced. "torchvision", to 1e-6: sides are rounded down
        instead of to the nearest number, and pixels are not rounded. "detectron2": Pillow's
        bilinear filter, which weighs every pixel if an image shrinks. "gluoncv": MXNet's bicubic
        filter, to the bit. null: OpenCV's bilinear filter.

    The defaults 600 and 1000 are Faster R-CNN's (Ren et al. 2015, section 3.3). Boxes are scaled by
    the exact ratio of each axis; the two ratios differ a little, because sides are whole pixels.
    """

    def __init__(
        self,
        short: Union[int, Sequence[int]] = 600,
        long: int = 1000,
        like: Optional[str] = None,
    ) -> None:
        self.shorts = (short,) if isinstance(short, (int, np.integer)) else tuple(short)
        self.long, self.like = long, like
        if not self.shorts or min(self.shorts) < 1:
            raise ValueError(f"short: expected at least 1 pixel, found {short!r}")
        if long < max(self.shorts):
            raise ValueError(
                f"long: expected at least {max(self.shorts)} (the largest short), found {long!r}"
            )
        if like is not None and like not in FRAMEWORKS:
            raise ValueError(
                f"like: expected one of {', '.join(FRAMEWORKS)}, or null, found {like!r}"
            )

    def largest_scale(self, height: int, width: int) -> float:
        """Returns the largest factor by which an image of this size in pixels is scaled."""
        return min(max(self.shorts) / min(height, width), self.long / max(height, width))

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
    """Mirrors left and right with probability `p`; for training only."""

    mirrors = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _mirror(sample, axis=1) if rng.random() < self.p else sample


@TRANSFORMS.register()
class VerticalFlip:
    """Mirrors top and bottom with probability `p`; for training only."""

    mirrors = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _mirror(sample, axis=0) if rng.random() < self.p else sample


@TRANSFORMS.register()
class Photometric:
    """Changes brightness, contrast, saturation and hue, each with probability `p`.

    brightness: the largest number that is added to or subtracted from every channel, in [0, 255].
    contrast, saturation: the smallest and the largest factor.
    hue: the largest rotation of the hue in degrees, in [0, 180].

    The ranges are SSD's (Liu et al. 2016, section 2.2, "photo-metric distortions", after Howard
    2013), and so is the order: the contrast changes before saturation and hue or after them, which
    is drawn for each image.
    """

    def __init__(
        self,
        brightness: float = 32,
        contrast: Tuple[float, float] = (0.5, 1.5),
        saturation: Tuple[float, float] = (0.5, 1.5),
        hue: float = 18,
        p: float = 0.5,
    ) -> None:
        if not 0 <= brightness <= 255:
            raise ValueError(f"brightness: expected a number in [0, 255], found {brightness!r}")
        if not 0 <= hue <= 180:
            raise ValueError(f"hue: expected degrees in [0, 180], found {hue!r}")
        self.brightness = brightness
        self.contrast = factors("contrast", contrast)
        self.saturation = factors("saturation", saturation)
        self.hue = hue
        self.p = probability(p)

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
    """Returns masks (G, H, W) at size (width, height)."""
    if masks is None:
        return None
    resized = np.zeros((len(masks), size[1], size[0]), masks.dtype)
    for mask, target in zip(masks, resized):
        target[:] = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    return resized


def _mirror(sample: Sample, axis: int) -> Sample:
    """Returns the Sample mirrored along axis 0 (top and bottom) or 1 (left and right)."""
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
    """Returns an (H, W, 3) float32 image with scaled saturation and rotated hue (degrees)."""
    hsv = cv2.cvtColor(np.clip(image, 0, 255), cv2.COLOR_RGB2HSV)
    hsv[:, :, 0] = (hsv[:, :, 0] + turn) % 360
    hsv[:, :, 1] = np.minimum(hsv[:, :, 1] * saturation, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)

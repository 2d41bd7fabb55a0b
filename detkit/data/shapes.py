"""The embedded dataset: coloured shapes on textured grounds, drawn when they are asked for.

It needs no download and no disk, so that everything can be tried and tested on a fresh clone. An
image is a function of (seed, index) alone. The objects differ in size, rotation, colour and
surface, cover each other and are cut by the border; boxes and masks are those of the pixels that
can be seen.
"""

import colorsys
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from detkit.data.sample import Annotation
from detkit.registry import DATASETS

# An object of which less than this part would be seen is put elsewhere, or given up: a remnant
# that nobody can name must be neither labelled nor left in the picture without a label.
LEAST_VISIBLE = 0.7
TRIES = 10
SUPERSAMPLING = 4
SUBPIXEL_BITS = 4
GOLDEN_RATIO = 0.618034


def _polygon(corners: int, radii: Sequence[float] = (1.0,)) -> np.ndarray:
    """(corners, 2) points around the origin, the first at the top, radii taken in turn."""
    turn = 2 * np.pi * np.arange(corners) / corners
    radius = np.resize(radii, corners)
    return np.stack([radius * np.sin(turn), -radius * np.cos(turn)], axis=1)


def _cross(width: float = 0.3) -> np.ndarray:
    """(12, 2) points of a plus sign whose arms are `width` of the half length to either side."""
    arm = np.array([[-width, -1.0], [width, -1.0], [width, -width]]) / np.hypot(1, width)
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    return np.concatenate([arm @ np.linalg.matrix_power(quarter.T, k) for k in range(4)])


# Outlines within the unit circle; a second contour is a hole.
OUTLINES: Dict[str, Tuple[np.ndarray, ...]] = {
    "circle": (_polygon(64),),
    "square": (_polygon(4),),
    "triangle": (_polygon(3),),
    "star": (_polygon(10, (1.0, 0.42)),),
    "cross": (_cross(),),
    "ring": (_polygon(64), 0.58 * _polygon(64)),
}


class Drawing(NamedTuple):
    """The objects of one image, the hindmost first.

    labels: G class indices.
    coverages: G arrays (H, W) uint8, how much of each pixel the whole object covers, 0..255.
    masks: G arrays (H, W) bool, the pixels in which the object is seen.
    """

    labels: List[int]
    coverages: List[np.ndarray]
    masks: List[np.ndarray]


@DATASETS.register()
class Shapes:
    """Circles, squares, triangles, stars, crosses and rings, with boxes and masks.

    length: number of images.
    size: (height, width) of every image in pixels.
    seed: another seed gives other images: one for training, one for testing.
    max_objects: an image holds 1 to max_objects objects, or none.
    empty: the part of the images that holds none.
    min_object, max_object: an object's diameter (of its circumscribed circle), as parts of the
        image's shorter side; small ones are the more frequent.

    Raises ValueError for arguments that make no picture.
    """

    class_names = tuple(OUTLINES)

    def __init__(
        self,
        length: int = 1000,
        size: Sequence[int] = (128, 128),
        seed: int = 0,
        max_objects: int = 5,
        empty: float = 0.05,
        min_object: float = 0.15,
        max_object: float = 0.5,
    ):
        _require(_is_count(length, 1), "length", length, "an integer of at least 1")
        _require(_is_size(size), "size", size, "(height, width), two integers of at least 32")
        _require(_is_count(seed, 0), "seed", seed, "an integer of at least 0")
        _require(_is_count(max_objects, 1), "max_objects", max_objects, "an integer of at least 1")
        _require(_is_part(empty), "empty", empty, "a number from 0 to 1")
        _require(_is_part(max_object), "max_object", max_object, "a number up to 1")
        _require(
            _is_part(min_object) and 0 < min_object <= max_object,
            "min_object",
            min_object,
            f"a number above 0, up to max_object ({max_object})",
        )
        self.length = length
        self.size = tuple(size)
        self.seed = seed
        self.max_objects = max_objects
        self.empty = empty
        self.diameters = (min_object * min(size), max_object * min(size))
        self.dropped: List[Tuple[str, str]] = []
        self.bad_images: List[Tuple[str, str]] = []
        self._annotations: Dict[int, Annotation] = {}

    def __len__(self) -> int:
        return self.length

    def annotation(self, index: int) -> Annotation:
        """The visible objects of an image."""
        if index not in self._annotations:
            drawing = self._draw(index)
            self._annotations[index] = Annotation(
                image_id=f"shapes-{self.seed}-{index:06d}",
                width=self.size[1],
                height=self.size[0],
                boxes=np.array([_tight_box(m) for m in drawing.masks], np.float32).reshape(-1, 4),
                labels=np.array(drawing.labels, np.int32),
                difficult=np.zeros(len(drawing.labels), bool),
            )
        return self._annotations[index]

    def masks(self, index: int) -> np.ndarray:
        """(G, H, W) uint8: the visible part of each object."""
        masks = self._draw(index).masks
        return np.array(masks, np.uint8).reshape((-1,) + self.size)

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        drawing = self._draw(index)
        rng = np.random.default_rng([self.seed, index, 1])
        canvas = _ground(self.size, rng)
        first_hue = rng.random()
        for order, coverage in enumerate(drawing.coverages):
            # Steps of the golden ratio keep the hues of an image's objects apart.
            surface = _surface(self.size, (first_hue + GOLDEN_RATIO * order) % 1, rng)
            canvas += (coverage / np.float32(255))[:, :, None] * (surface - canvas)
        grain = rng.integers(-6, 7, canvas.shape, dtype=np.int8)
        return np.clip(canvas + grain, 0, 255).astype(np.uint8)

    def _draw(self, index: int) -> Drawing:
        """Decide what lies where. Draws from a stream of its own, before any colour is chosen."""
        if not 0 <= index < self.length:
            raise IndexError(f"image {index} of {self.length}")
        rng = np.random.default_rng([self.seed, index, 0])
        drawing = Drawing([], [], [])
        if rng.random() < self.empty:
            return drawing
        wholes: List[float] = []
        for _ in range(rng.integers(1, self.max_objects + 1)):
            for _ in range(TRIES):
                label, coverage, whole = self._object(rng)
                mask = coverage >= 128
                masks = _visible([*drawing.masks, mask], [*wholes, whole])
                if masks is not None:
                    drawing.labels.append(label)
                    drawing.coverages.append(coverage)
                    drawing.masks[:] = masks
                    wholes.append(whole)
                    break
        return drawing

    def _object(self, rng: np.random.Generator) -> Tuple[int, np.ndarray, float]:
        """One object somewhere: label, (H, W) uint8 coverage, area in pixels when seen whole."""
        label = int(rng.integers(len(self.class_names)))
        smallest, largest = self.diameters
        radius = 0.5 * smallest * (largest / smallest) ** rng.random()
        angle = rng.uniform(0, 2 * np.pi)
        centre = rng.random(2) * self.size[::-1]
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        contours = [radius * c @ turn + centre for c in OUTLINES[self.class_names[label]]]
        areas = [cv2.contourArea(c.astype(np.float32)) for c in contours]
        return label, _coverage(contours, self.size), areas[0] - sum(areas[1:])


def _visible(masks: List[np.ndarray], wholes: List[float]) -> Optional[List[np.ndarray]]:
    """The masks (H, W) bool once the last object hides parts of the others; None if one would be
    seen too little. wholes: the objects' areas when they are seen whole."""
    *behind, last = masks
    if np.count_nonzero(last) < LEAST_VISIBLE * wholes[-1]:
        return None
    visible = [mask & ~last for mask in behind]
    enough = (mask.sum() >= LEAST_VISIBLE * whole for mask, whole in zip(visible, wholes))
    return [*visible, last] if all(enough) else None


def _coverage(contours: Sequence[np.ndarray], size: Tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: the covered part of each pixel, found by drawing on a finer grid."""
    covered = np.zeros(size, np.uint8)
    ends = np.floor(contours[0].min(axis=0)) - 1, np.ceil(contours[0].max(axis=0)) + 1
    (left, top), (right, bottom) = np.clip(ends, 0, size[::-1]).astype(int).tolist()
    if right > left and bottom > top:
        fine = np.zeros((SUPERSAMPLING * (bottom - top), SUPERSAMPLING * (right - left)), np.uint8)
        # OpenCV counts from the centre of the first pixel, we from its corner.
        points = [(c * SUPERSAMPLING - 0.5) * 2**SUBPIXEL_BITS for c in contours]
        corner = np.int32([left, top]) * SUPERSAMPLING * 2**SUBPIXEL_BITS
        points = [p.round().astype(np.int32) - corner for p in points]
        cv2.fillPoly(fine, points, 255, shift=SUBPIXEL_BITS)
        drawn = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        covered[top:bottom, left:right] = drawn
    return covered


def _tight_box(mask: np.ndarray) -> Tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _clouds(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    coarse = rng.random((int(rng.integers(3, 9)),) * 2, dtype=np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def _gradient(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    along = _ramp(size, rng.uniform(0, 2 * np.pi))
    return (along - along.min()) / (along.max() - along.min())


def _stripes(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    period = min(size) * rng.uniform(0.08, 0.25)
    waves = np.sin(2 * np.pi / period * _ramp(size, rng.uniform(0, 2 * np.pi)))
    return np.clip(0.5 + 2 * waves, 0, 1)


def _checker(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    frequency, angle = np.pi / (min(size) * rng.uniform(0.08, 0.2)), rng.uniform(0, 2 * np.pi)
    along, across = (_ramp(size, direction) for direction in (angle, angle + np.pi / 2))
    waves = np.sin(frequency * along) * np.sin(frequency * across)
    return np.clip(0.5 + 4 * waves, 0, 1)


def _ramp(size: Tuple[int, int], angle: float) -> np.ndarray:
    """(H, W) float32: the distance in pixels along a direction."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns * np.cos(angle) + rows * np.sin(angle)).astype(np.float32)


# Patterns are (H, W) float32 in about 0..1, by which two colours are mixed.
Pattern = Callable[[Tuple[int, int], np.random.Generator], np.ndarray]
SHADES: Tuple[Pattern, ...] = (_clouds, _gradient)
TEXTURES: Tuple[Pattern, ...] = (*SHADES, _stripes, _checker)


def _ground(size: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: two dull colours."""
    hue, value = rng.random(), rng.uniform(0.25, 0.85)
    one = _rgb(hue, rng.uniform(0, 0.3), value)
    other = _rgb(hue + rng.uniform(-0.15, 0.15), rng.uniform(0, 0.3), value + rng.uniform(0.1, 0.2))
    return _mix(one, other, TEXTURES, size, rng)


def _surface(size: Tuple[int, int], hue: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: two near and vivid colours, without any edge but the object's own."""
    saturation, value = rng.uniform(0.65, 1), rng.uniform(0.6, 1)
    one = _rgb(hue, saturation, value)
    other = _rgb(hue + rng.uniform(-0.05, 0.05), saturation, value * rng.uniform(0.65, 0.9))
    return _mix(one, other, SHADES, size, rng)


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.float32(255) * np.float32(colorsys.hsv_to_rgb(hue % 1, saturation, min(value, 1)))


def _mix(
    one: np.ndarray,
    other: np.ndarray,
    patterns: Sequence[Pattern],
    size: Tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """(H, W, 3) float32: two colours in one of the patterns."""
    pattern = patterns[rng.integers(len(patterns))](size, rng)
    return one + pattern[:, :, None] * (other - one)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least


def _is_part(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


def _is_size(size: object) -> bool:
    pair = isinstance(size, (list, tuple)) and len(size) == 2
    return pair and all(_is_count(side, 32) for side in size)


def _require(satisfied: bool, name: str, value: object, expected: str) -> None:
    if not satisfied:
        raise ValueError(f"Shapes: {name} is {value!r}, expected {expected}")

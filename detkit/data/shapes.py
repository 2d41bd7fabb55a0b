"""The embedded dataset: coloured shapes on textured backgrounds, drawn on request.

It needs no download and no disk, so that a fresh clone can try and test everything. An image is a
function of (seed, index) alone. The objects differ in size, rotation, colour and surface; they
occlude each other and are cut by the border. Boxes and masks cover the visible pixels.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from detkit.data.keypoints import Keypoints, check_field
from detkit.data.sample import Annotation, Faults
from detkit.data.textures import ground, surface
from detkit.registry import DATASETS

# The least visible part of an object. If less would be visible, the object is placed elsewhere or
# dropped: a remnant that nobody can name must neither have a label nor be visible without one.
LEAST_VISIBLE = 0.7
TRIES = 10  # to place an object
COVERED = 128  # of 255: from this coverage on, a pixel belongs to an object
SUPERSAMPLING = 4
SUBPIXEL_BITS = 4
GOLDEN_RATIO = 0.618034


def _polygon(corners: int, radii: Sequence[float] = (1.0,)) -> np.ndarray:
    """Returns points (corners, 2) around the origin, the first at the top, with cyclic radii."""
    turn = 2 * np.pi * np.arange(corners) / corners
    radius = np.resize(radii, corners)
    return np.stack([radius * np.sin(turn), -radius * np.cos(turn)], axis=1)


def _cross(width: float = 0.3) -> np.ndarray:
    """Returns the points (12, 2) of a plus sign; `width` is half an arm's width over its length."""
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


KEYPOINTS = ("top", "left", "bottom", "right")
MIRRORED = (2, 1, 0, 3), (0, 3, 2, 1)  # their order after a mirror along the axes 0 and 1


class Drawing(NamedTuple):
    """The objects of one image, from back to front.

    labels: G class indices.
    coverages: G arrays (H, W) uint8, how much of each pixel the whole object covers, in [0, 255].
    masks: G arrays (H, W) bool, the pixels in which the object is visible.
    extremes: G arrays (4, 2), the outermost points x y of the whole object: see KEYPOINTS.
    """

    labels: List[int]
    coverages: List[np.ndarray]
    masks: List[np.ndarray]
    extremes: List[np.ndarray]


@DATASETS.register()
class Shapes:
    """Circles, squares, triangles, stars, crosses and rings, with boxes, masks and keypoints.

    The keypoints of an object are the outermost points of its outline. Those that another object
    covers are hidden, and those outside of the image are not labelled.

    length: the number of images.
    size: (height, width) of every image in pixels, each at least 32.
    seed: each seed gives other images, so that training and testing use two seeds.
    max_objects: the largest number of objects of an image; the smallest is 1.
    empty: the fraction of images without any object, in [0, 1].
    min_object, max_object: the diameters of an object's circumscribed circle, as fractions of the
        image's shorter side. Small objects are more frequent.

    Raises ValueError for arguments outside these ranges.
    """

    class_names: Tuple[str, ...] = tuple(OUTLINES)
    keypoint_names: Tuple[str, ...] = KEYPOINTS

    def __init__(
        self,
        length: int = 1000,
        size: Sequence[int] = (128, 128),
        seed: int = 0,
        max_objects: int = 5,
        empty: float = 0.05,
        min_object: float = 0.15,
        max_object: float = 0.5,
    ) -> None:
        _require(_is_count(length, 1), "length", length, "an integer of at least 1")
        _require(_is_size(size), "size", size, "(height, width), two integers of at least 32")
        _require(_is_count(seed, 0), "seed", seed, "an integer of at least 0")
        _require(_is_count(max_objects, 1), "max_objects", max_objects, "an integer of at least 1")
        _require(_is_part(empty), "empty", empty, "a number in [0, 1]")
        _require(_is_part(max_object), "max_object", max_object, "a number up to 1")
        _require(
            _is_part(min_object) and 0 < min_object <= max_object,
            "min_object",
            min_object,
            f"a number above 0, up to max_object ({max_object})",
        )
        self.length = length
        self.size: Tuple[int, int] = (size[0], size[1])
        self.seed = seed
        self.max_objects = max_objects
        self.empty = empty
        self.diameters = (min_object * min(size), max_object * min(size))
        self.dropped: Faults = []
        self.bad_images: Faults = []
        self._annotations: Dict[int, Annotation] = {}

    def __len__(self) -> int:
        return self.length

    def annotation(self, index: int) -> Annotation:
        """Returns the visible objects of an image."""
        if index not in self._annotations:
            drawing = self.drawing(index)
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
        """Returns the visible pixels of each object, (G, H, W) uint8."""
        masks = self.drawing(index).masks
        return np.array(masks, np.uint8).reshape((-1,) + self.size)

    def field(self, name: str, index: int) -> Keypoints:
        """Returns the Keypoints of the objects of an image. Raises DataError for other fields."""
        check_field(self, name, KEYPOINTS)
        drawing = self.drawing(index)
        points = np.zeros((len(drawing.labels), len(KEYPOINTS), 3), np.float32)
        for order, extremes in enumerate(drawing.extremes):
            for point, (x, y) in zip(points[order], extremes):
                if 0 <= x < self.size[1] and 0 <= y < self.size[0]:
                    in_front = drawing.coverages[order + 1 :]
                    hidden = any(whole[int(y), int(x)] >= COVERED for whole in in_front)
                    point[:] = x, y, 1 if hidden else 2
        return Keypoints(points, MIRRORED)

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB."""
        drawing = self.drawing(index)
        rng = np.random.default_rng([self.seed, index, 1])
        canvas = ground(self.size, rng)
        first_hue = rng.random()
        for order, coverage in enumerate(drawing.coverages):
            # Steps of the golden ratio keep the hues of the objects in an image apart.
            colours = surface(self.size, (first_hue + GOLDEN_RATIO * order) % 1, rng)
            canvas += (coverage / np.float32(255))[:, :, None] * (colours - canvas)
        grain = rng.integers(-6, 7, canvas.shape, dtype=np.int8)
        return np.clip(canvas + grain, 0, 255).astype(np.uint8)

    def drawing(self, index: int) -> Drawing:
        """Places the objects of an image. It has its own random stream; colours use another one."""
        if not 0 <= index < self.length:
            raise IndexError(f"expected an index below {self.length}, found {index}")
        rng = np.random.default_rng([self.seed, index, 0])
        drawing = Drawing([], [], [], [])
        if rng.random() < self.empty:
            return drawing
        wholes: List[float] = []
        for _ in range(rng.integers(1, self.max_objects + 1)):
            for _ in range(TRIES):
                label, coverage, whole, extremes = self._object(rng)
                mask = coverage >= COVERED
                masks = _visible([*drawing.masks, mask], [*wholes, whole])
                if masks is not None:
                    drawing.labels.append(label)
                    drawing.coverages.append(coverage)
                    drawing.masks[:] = masks
                    drawing.extremes.append(extremes)
                    wholes.append(whole)
                    break
        return drawing

    def _object(self, rng: np.random.Generator) -> Tuple[int, np.ndarray, float, np.ndarray]:
        """Returns one object: its label, coverage (H, W) uint8, whole area and extremes (4, 2)."""
        label = int(rng.integers(len(self.class_names)))
        smallest, largest = self.diameters
        radius = 0.5 * smallest * (largest / smallest) ** rng.random()
        angle = rng.uniform(0, 2 * np.pi)
        centre = rng.random(2) * self.size[::-1]
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        contours = [radius * c @ turn + centre for c in OUTLINES[self.class_names[label]]]
        areas = [cv2.contourArea(c.astype(np.float32)) for c in contours]
        whole = areas[0] - sum(areas[1:])
        return label, _coverage(contours, self.size), whole, _extremes(contours[0])


def _visible(masks: List[np.ndarray], wholes: List[float]) -> Optional[List[np.ndarray]]:
    """Returns the masks (H, W) bool after the last object occludes the others.

    wholes: the objects' areas without occlusion, in pixels.

    Returns None if an object would be visible too little.
    """
    *behind, last = masks
    if np.count_nonzero(last) < LEAST_VISIBLE * wholes[-1]:
        return None
    visible = [mask & ~last for mask in behind]
    enough = (mask.sum() >= LEAST_VISIBLE * whole for mask, whole in zip(visible, wholes))
    return [*visible, last] if all(enough) else None


def _coverage(contours: Sequence[np.ndarray], size: Tuple[int, int]) -> np.ndarray:
    """Returns the covered part of each pixel, (H, W) uint8, by drawing on a finer grid."""
    covered = np.zeros(size, np.uint8)
    ends = np.floor(contours[0].min(axis=0)) - 1, np.ceil(contours[0].max(axis=0)) + 1
    (left, top), (right, bottom) = np.clip(ends, 0, size[::-1]).astype(int).tolist()
    if right > left and bottom > top:
        fine = np.zeros((SUPERSAMPLING * (bottom - top), SUPERSAMPLING * (right - left)), np.uint8)
        # OpenCV's coordinates begin at the centre of the first pixel, detkit's at its corner.
        points = [(c * SUPERSAMPLING - 0.5) * 2**SUBPIXEL_BITS for c in contours]
        corner = np.array([left, top], np.int32) * SUPERSAMPLING * 2**SUBPIXEL_BITS
        points = [p.round().astype(np.int32) - corner for p in points]
        cv2.fillPoly(fine, points, (255,), shift=SUBPIXEL_BITS)
        drawn = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        covered[top:bottom, left:right] = drawn
    return covered


def _extremes(outline: np.ndarray) -> np.ndarray:
    """Returns the points (4, 2) of an outline (n, 2) that KEYPOINTS names."""
    lowest, highest = outline.argmin(axis=0), outline.argmax(axis=0)
    return outline[[lowest[1], lowest[0], highest[1], highest[0]]]


def _tight_box(mask: np.ndarray) -> Tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _is_count(value: Any, least: int) -> bool:
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_integer and bool(value >= least)


def _is_part(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


def _is_size(size: object) -> bool:
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        return False
    return all(_is_count(side, 32) for side in size)


def _require(satisfied: bool, name: str, value: object, expected: str) -> None:
    if not satisfied:
        raise ValueError(f"{name}: expected {expected}, found {value!r}")

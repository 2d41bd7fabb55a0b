"""Proposals that need no training: Selective Search, and windows on a regular grid.

R-CNN and Fast R-CNN were published with Selective Search; the windows are a baseline for it. Both
are functions of the image and of a random generator alone. Both put their boxes into a random order
by that generator, so that the first boxes of a list are not all of one place or one size.
"""

from typing import Any, Callable, Iterator, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.data.resize import resample, resized_size
from detkit.data.sample import Dataset, ImageId
from detkit.data.workers import in_order
from detkit.detections import Detections
from detkit.errors import DetkitError, ImageError

MODES = {"fast": "switchToSelectiveSearchFast", "quality": "switchToSelectiveSearchQuality"}

Proposer = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # image (H, W, 3) -> (R, 4)


def sliding_windows(
    height: int,
    width: int,
    rng: np.random.Generator,
    count: int = 2000,
    smallest: float = 16,
    ratios: Sequence[float] = (0.5, 1, 2),
) -> np.ndarray:
    """Returns at most ``count`` windows (R, 4) float32 in pixels of an image, in random order.

    The largest windows have the area of a square of the image's shorter side. The area of the next
    ones is half as large, down to the square of ``smallest`` pixels. Each size has all ``ratios``
    of height to width, and a side is at most the image's. All shapes have the same share of
    ``count``, and the windows of a shape are placed on a grid of equal distances that touches the
    border of the image; a single row or column lies in the middle. This is the baseline
    SlidingWindow of Hosang et al. 2016, section 2.4.

    Raises ValueError for a side, a ``count`` or a ratio that is not above 0.
    """
    for name, value in (("height", height), ("width", width), ("count", count)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, found {value}")
    if not smallest > 0 or not ratios or min(ratios) <= 0:
        raise ValueError(f"expected numbers above 0, found smallest={smallest}, ratios={ratios}")
    shorter = min(height, width)
    steps = int(2 * np.log2(max(shorter / smallest, 1))) + 1
    sides = shorter * np.sqrt(0.5) ** np.arange(steps)
    shapes = [
        (min(side * ratio**0.5, height), min(side / ratio**0.5, width))
        for side in sides
        for ratio in ratios
    ]
    shapes = list(dict.fromkeys(shapes))  # the image's sides can make two shapes one
    share = max(1, count // len(shapes))
    grids = [_grid(height, width, *shape, share) for shape in shapes]
    windows = np.concatenate(grids).astype(np.float32)
    return windows[rng.permutation(len(windows))[:count]]


def _grid(height: int, width: int, h: float, w: float, count: int) -> np.ndarray:
    """Returns at most ``count`` windows (R, 4) of h x w pixels on the grid of least distances."""
    columns = np.arange(1, count + 1)
    rows = count // columns
    free_x, free_y = width - w, height - h
    distance = np.maximum(free_x / np.maximum(columns - 1, 1), free_y / np.maximum(rows - 1, 1))
    best = distance.argmin()
    x, y = (_places(free, number[best]) for free, number in ((free_x, columns), (free_y, rows)))
    left, top = (each.ravel() for each in np.meshgrid(x, y))
    return np.stack([left, top, left + w, top + h], axis=1)


def _places(free: float, number: int) -> np.ndarray:
    return np.linspace(0, free, number) if free and number > 1 else np.array([free / 2])


def selective_search(
    image: np.ndarray, rng: np.random.Generator, mode: str = "fast", side: int = 500
) -> np.ndarray:
    """Returns the boxes (R, 4) float32 of Selective Search in pixels of ``image``, the best first.

    The search is OpenCV's, of the module ximgproc (Uijlings et al. 2013). OpenCV ranks its boxes by
    a generator that cannot be seeded, and the small ones first. They are therefore ranked here as
    in the paper (section 3.3): by their place in the hierarchy, the whole image first, times a
    random number in [0, 1). A box's place in the hierarchy is here that of its area.

    image: (H, W, 3) uint8 RGB.
    mode: "fast" or "quality", the paper's two sets of segmentations and similarities.
    side: an image whose longer side has more pixels is searched at this size. R-CNN's code searches
        images that are 500 pixels wide.

    Raises ValueError for another mode or a side below 1, and DetkitError if OpenCV has no ximgproc.
    """
    if mode not in MODES or side < 1:
        raise ValueError(
            f"expected mode of {', '.join(MODES)} and side of at least 1, found {mode!r} and {side}"
        )
    search = _segmentation().createSelectiveSearchSegmentation()
    height, width = image.shape[:2]
    limit = min(side, max(height, width))
    size = resized_size(height, width, limit, limit)
    search.setBaseImage(cv2.cvtColor(resample(image, size), cv2.COLOR_RGB2BGR))
    getattr(search, MODES[mode])()
    found = np.asarray(search.process()).reshape(-1, 4)  # x, y, width, height in whole pixels
    corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    boxes = (corners * (np.array([width, height] * 2) / (*size, *size))).astype(np.float32)
    return boxes[_ranking(found, rng)]


def _ranking(found: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the order (R,) of boxes x, y, width, height (R, 4)."""
    areas = found[:, 2].astype(np.int64) * found[:, 3]
    by_area = np.lexsort((*found.T, -areas))  # the boxes settle ties: OpenCV's order is random
    ranks = rng.random(len(found)) * np.arange(1, len(found) + 1)
    return by_area[np.argsort(ranks, kind="stable")]


def _segmentation() -> Any:
    """Returns OpenCV's module of segmentations. Raises DetkitError if there is none."""
    ximgproc = getattr(cv2, "ximgproc", None)
    if ximgproc is None:
        raise DetkitError(
            "selective_search: expected OpenCV with the module ximgproc, found OpenCV "
            f"{cv2.__version__} without it. It is in the package opencv-contrib-python, which is "
            "the same Python module cv2 as opencv-python: only one of them can be installed.\n"
            "  pip uninstall opencv-python\n  pip install 'opencv-contrib-python<4.12'"
        )
    return ximgproc.segmentation


def propose(
    dataset: Dataset, proposer: Proposer, limit: int, seed: int = 0, workers: int = 0
) -> Iterator[Tuple[ImageId, Union[Detections, ImageError]]]:
    """Returns the id of each image and its proposals, the best first, in the dataset's order.

    The proposals are Detections of the one class "object", whose scores fall from 1 in equal steps.
    The proposals of an image depend on the image, on its index and on the seed. An image that
    cannot be decoded has its error instead.

    limit: the most proposals of an image.
    workers: the number of threads; 0 works in the caller's thread.
    """

    def work(index: int) -> Union[Detections, ImageError]:
        """Returns the proposals of an image, or the error of one that cannot be decoded."""
        try:
            image = dataset.image(index)
        except ImageError as error:
            return error
        boxes = proposer(image, np.random.default_rng([seed, index]))[:limit]
        scores = 1 - np.arange(len(boxes)) / max(1, len(boxes))
        labels = np.zeros(len(boxes), np.int32)
        return Detections(boxes, scores.astype(np.float32), labels, ("object",))

    indices = range(len(dataset))
    ids = (dataset.annotation(index).image_id for index in indices)
    return zip(ids, in_order(work, indices, workers, "detkit-proposer"))

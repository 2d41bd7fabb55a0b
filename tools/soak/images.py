"""Images of changing sizes with any number of objects, as a dataset and as a run's batches."""

from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from detkit.build.data import build_loader
from detkit.config import Config
from detkit.data.sample import Annotation, Batch, Faults
from soak.watch import SoakError

LARGEST_BATCH = 4
MOST_OBJECTS = 20
EMPTY = 0.2  # the share of the images without objects
LEAST_SIDE = 8  # pixels of an object
MOVING = 5  # rectangles in a video
VIDEO_RATE = 25.0  # frames a second


class Picture(NamedTuple):
    """An image (H, W, 3) uint8, the boxes (G, 4) float32 of its objects, and labels (G,) int32."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def draw_picture(rng: np.random.Generator, most: Sequence[int], classes: int) -> Picture:
    """Returns a picture of filled rectangles.

    most: the largest height and width in pixels; the sides are at least three quarters of them.
    classes: the number of classes.
    """
    height, width = (int(rng.integers(side * 3 // 4, side + 1)) for side in most)
    count = 0 if rng.random() < EMPTY else int(rng.integers(1, MOST_OBJECTS + 1))
    image = np.full((height, width, 3), rng.integers(256, size=3), np.uint8)
    boxes = np.zeros((count, 4), np.float32)
    for box in boxes:
        w, h = (int(rng.integers(LEAST_SIDE, side // 2)) for side in (width, height))
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        image[y : y + h, x : x + w] = rng.integers(256, size=3)
        box[:] = x, y, x + w, y + h
    return Picture(image, boxes, rng.integers(classes, size=count).astype(np.int32))


class Pictures:
    """A dataset of pictures of any sizes.

    pictures: its images. number: the number that makes the ids of its images unique.
    """

    dropped: Faults = []
    bad_images: Faults = []

    def __init__(self, pictures: List[Picture], number: int, class_names: Sequence[str]) -> None:
        self._pictures, self._number = pictures, number
        self.class_names = tuple(class_names)

    def __len__(self) -> int:
        return len(self._pictures)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of a picture, none of which is difficult."""
        image, boxes, labels = self._pictures[index]
        name = f"{self._number}-{index}"
        difficult = np.zeros(len(labels), bool)
        return Annotation(name, image.shape[1], image.shape[0], boxes, labels, difficult)

    def image(self, index: int) -> np.ndarray:
        """Returns the pixels of a picture."""
        return self._pictures[index].image

    def masks(self, index: int) -> np.ndarray:
        """Returns the whole rectangles, (G, H, W) uint8."""
        image, boxes, _ = self._pictures[index]
        masks = np.zeros((len(boxes), *image.shape[:2]), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int)):
            mask[top:bottom, left:right] = 1
        return masks


class Batches:
    """The batches of a run without end, each with its own number of images and its own sizes.

    They take the place of the Loader of a Training.

    config: the Config of the training. inputs: the TrainStep's INPUTS. class_names: its classes.
    sides: the smallest and the largest side of a batch in pixels. seed: (seed, number) fixes a
        batch. length: the number of batches of an epoch.
    """

    def __init__(
        self,
        config: Config,
        inputs: Sequence[str],
        class_names: Sequence[str],
        sides: Tuple[int, int],
        seed: int,
        length: int,
    ) -> None:
        self._config, self._inputs, self._class_names = config, inputs, class_names
        self._sides, self._seed, self._length = sides, seed, length
        self.skipped: dict = {}
        self.left_out: dict = {}
        self.dropped: Faults = []

    def __len__(self) -> int:
        return self._length

    def pictures(self, number: int) -> List[Picture]:
        """Returns the pictures of a batch."""
        rng = np.random.default_rng([self._seed, number])
        count = int(rng.integers(1, LARGEST_BATCH + 1))
        # One draw for the batch: the largest of several draws is rarely a small one.
        least, most = self._sides
        sides = [int(side) for side in rng.integers(least, most + 1, 2)]
        return [draw_picture(rng, sides, len(self._class_names)) for _ in range(count)]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yields the batches from number ``start`` on."""
        for number in range(start, self._length):
            pictures = self.pictures(number)
            dataset: Any = Pictures(pictures, number, self._class_names)
            loader = build_loader(self._config, "train", dataset, len(pictures), self._inputs)
            yield next(loader.batches(number))._replace(number=number)


def draw_video(path: Path, count: int, size: Tuple[int, int]) -> None:
    """Writes a video of rectangles that cross a picture, of (width, height) pixels.

    Raises SoakError if OpenCV cannot write MPEG-4.
    """
    width, height = size
    letters = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(path), letters, VIDEO_RATE, size)
    if not writer.isOpened():
        raise SoakError(f"{path}: expected an OpenCV that writes MPEG-4, found one that does not")
    ground = draw_picture(np.random.default_rng(0), (height, width), 1).image
    ground = cv2.resize(ground, (width, height))
    for number in range(count):
        frame = ground.copy()
        for each in range(1, MOVING + 1):
            left, top = number * each % width, number * (MOVING - each) % height
            corner = left + width // 5, top + height // 5
            cv2.rectangle(frame, (left, top), corner, (40 * each, 255 - 40 * each, 90), cv2.FILLED)
        writer.write(frame)
    writer.release()

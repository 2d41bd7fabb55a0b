"""A detector that needs no network, videos and cameras that are lists of frames."""

import cv2
import numpy as np

from detkit.detections import Detections
from detkit.predictions.frames import Frame
from detkit.predictions.saves import Result
from detkit.predictions.sources import IMAGE, VIDEO, Source

CLASSES = ("cell", 'größe "x"', "plättchen")
SIZE = (40, 60)  # height and width of the images


def picture(seed, size=SIZE):
    """An image (H, W, 3) uint8 RGB of noise."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def detections(seed, count=5, size=SIZE, **more):
    """Random detections within an image, the best first, with corners that are no whole pixels."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 0.6, (count, 2))
    last = first + rng.uniform(0.1, 0.4, (count, 2))
    boxes = np.hstack([first, last]) * np.tile(size[::-1], 2)
    scores = np.sort(rng.uniform(0.5, 1, count))[::-1]
    labels = rng.integers(0, len(CLASSES), count)
    return Detections(
        boxes.astype(np.float32),
        scores.astype(np.float32),
        labels.astype(np.int32),
        CLASSES,
        **more,
    )


def with_masks(seed, count=3, size=SIZE):
    """Detections with masks."""
    probabilities = np.random.default_rng(seed).uniform(0.2, 1, (count, 14, 14))
    return detections(
        seed, count, size, mask_probs=probabilities.astype(np.float32), image_size=size
    )


def write_images(folder, count, size=SIZE):
    """Image files 0.png, 1.png, ...; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), picture(number, size)[..., ::-1])
    return paths


def write_video(path, count, size=SIZE, rate=10.0):
    """A video of JPEGs, each frame of one grey that tells its number; its path."""
    letters = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), letters, rate, size[::-1])
    for number in range(count):
        writer.write(np.full((*size, 3), 2 * number, np.uint8))
    writer.release()
    return path


def results(paths, found):
    """Results of image files with these detections."""
    return [
        Result(number, Frame(Source(IMAGE, str(path), path.stem), picture(number), path.stem), one)
        for number, (path, one) in enumerate(zip(paths, found))
    ]


def results_of_video(count, found, name="clip", size=SIZE):
    """Results of the frames of a video."""
    source = Source(VIDEO, f"{name}.avi", name)
    return [
        Result(n, Frame(source, picture(n, size), f"{name}/{n:06d}", n, 10.0), found(n))
        for n in range(count)
    ]


class FakeDetector:
    """Finds what ``detections(mean grey of the image)`` are; its batches are lists of images."""

    class_names, max_pixels, takes_proposals, name = CLASSES, 10**6, False, "a fake"
    threshold = None

    def batch(self, images, proposals=None, channels="RGB"):
        return list(images)

    def detect_batch(self, batch):
        return [detections(int(image.mean()), size=image.shape[:2]) for image in batch]


PROPERTIES = {
    cv2.CAP_PROP_FPS: "rate",
    cv2.CAP_PROP_FRAME_COUNT: "stated",
    cv2.CAP_PROP_FRAME_WIDTH: "width",
    cv2.CAP_PROP_FRAME_HEIGHT: "height",
}


class FakeCapture:
    """A cv2.VideoCapture of a list of frames. properties: {name in PROPERTIES: value}."""

    def __init__(self, frames, **properties):
        self.frames, self.properties = list(frames), properties
        self.released = False

    def read(self):
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def get(self, key):
        return self.properties.get(PROPERTIES.get(key), 0)

    def release(self):
        self.released = True

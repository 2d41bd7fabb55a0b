"""A detector without a network: it finds what is painted in an image, each colour by itself."""

import cv2
import numpy as np

from detkit.data.detect_images import detect_images
from detkit.detections import Detections

GROUND = 110
CELLS = 14  # of a mask


def blank(height, width):
    return np.full((height, width, 3), GROUND, np.uint8)


def paint(image, box, number, label=0):
    """Paints an object x1 y1 x2 y2: red is its label, green and blue its number."""
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = (200 + label, number // 200, number % 200)


class Blobs:
    """Finds the box of each painted object, as far as it is in the image.

    score: the score of an object of ``area`` pixels. parts: "masks" or "keypoints" of the objects:
    the mask of each is full, and its keypoints are two corners of the box. least: the least side of
    an object as a share of the longer side of the image; smaller ones are not seen.
    """

    class_names, max_pixels, takes_proposals, name = ("one", "other"), 10**8, False, "blobs"
    threshold = None

    def __init__(self, score=lambda area: 0.9, parts=None, least=0.0):
        self.score, self.parts, self.least = score, parts, least
        self.shapes = []

    def detect(self, images, proposals=None, *, score=None, channels="RGB", tiles=None):
        return detect_images(self, images, proposals, score, channels, tiles)

    def batch(self, images, proposals=None, channels="RGB"):
        return list(images)

    def detect_batch(self, batch):
        self.shapes.append((len(batch), *batch[0].shape))
        assert len({image.shape for image in batch}) == 1
        return [self._found(image) for image in batch]

    def _found(self, image):
        reds, greens, blues = (image[..., n].astype(int) for n in range(3))
        numbers = np.where(reds >= 200, 1 + (reds - 200) + 2 * (200 * greens + blues), 0)
        rows = []
        for number in np.unique(numbers[numbers > 0]).tolist():
            x, y, w, h = cv2.boundingRect((numbers == number).astype(np.uint8))
            if max(w, h) >= self.least * max(image.shape[:2]):
                rows.append(((x, y, x + w, y + h), self.score(w * h), (number - 1) % 2))
        rows.sort(key=lambda row: -row[1])
        boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
        found = {"masks": self._masks, "keypoints": self._keypoints}.get(self.parts, lambda *_: {})
        return Detections(
            boxes,
            np.array([row[1] for row in rows], np.float32),
            np.array([row[2] for row in rows], np.int32),
            self.class_names,
            **found(boxes, image.shape[:2]),
        )

    @staticmethod
    def _masks(boxes, size):
        return {"mask_probs": np.ones((len(boxes), CELLS, CELLS), np.float32), "image_size": size}

    @staticmethod
    def _keypoints(boxes, _):
        corners = np.ones((len(boxes), 2, 3), np.float32)
        corners[..., :2] = boxes.reshape(-1, 2, 2)
        return {"keypoints": corners}

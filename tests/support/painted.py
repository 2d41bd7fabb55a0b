"""A dataset in memory in which every object has a colour of its own, by which a test finds it."""

import cv2
import numpy as np

from detkit.data import Annotation, Keypoints

GROUND = (110, 120, 115)
PER_IMAGE = 4
CORNERS = (0, 60, 190, 255)  # of the colours: each channel has one of them


def colour(label):
    """The colour of the objects of a label, far from GROUND and from each other's."""
    return np.array([CORNERS[label % 4], CORNERS[label // 4 % 4], CORNERS[label // 16 % 4]])


class Painted:
    """Ellipses and rectangles that cover each other; every third image is empty.

    Boxes are those of the visible pixels. The two keypoints of an object, a left and a right one,
    are two of its visible pixels.
    """

    class_names = tuple(str(number) for number in range(64))
    keypoint_names = ("left", "right")

    def __init__(self, length=12, size=(48, 72), seed=0):
        self.dropped, self.bad_images = [], []
        self._images = [self._paint(index, size, seed) for index in range(length)]

    def _paint(self, index, size, seed):
        rng = np.random.default_rng([seed, index])
        height, width = (side + int(rng.integers(-8, 9)) for side in size)
        image = np.full((height, width, 3), GROUND, np.uint8)
        owner = np.full((height, width), -1, np.int16)
        labels = [(index * PER_IMAGE + n) % 64 for n in range(PER_IMAGE)] * (index % 3 != 2)
        for label in labels:
            centre = int(rng.integers(4, width - 4)), int(rng.integers(4, height - 4))
            axes = rng.integers(5, 14, 2).tolist()
            if rng.random() < 0.5:
                cv2.ellipse(owner, centre, axes, int(rng.integers(180)), 0, 360, label, -1)
            else:
                corner = centre[0] + axes[0], centre[1] + axes[1]
                cv2.rectangle(owner, centre, corner, label, -1)
        kept = [label for label in labels if (owner == label).sum() > 8]
        for label in kept:
            image[owner == label] = colour(label)
        masks = np.array([owner == label for label in kept], np.uint8).reshape(-1, height, width)
        return image, masks, np.array(kept, np.int32), rng.random(len(kept)) < 0.2

    def __len__(self):
        return len(self._images)

    def annotation(self, index):
        image, masks, labels, difficult = self._images[index]
        corners = [cv2.boundingRect(mask) for mask in masks]
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in corners], np.float32)
        height, width = image.shape[:2]
        return Annotation(index, width, height, boxes.reshape(-1, 4), labels, difficult)

    def image(self, index):
        return self._images[index][0]

    def masks(self, index):
        return self._images[index][1]

    def field(self, name, index):
        points = []
        for mask in self.masks(index):
            inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
            rows, columns = np.nonzero(inner if inner.any() else mask)
            left, right = np.argmin(columns), np.argmax(columns)
            points.append([[columns[k] + 0.5, rows[k] + 0.5, 2] for k in (left, right)])
        return Keypoints(np.array(points, "f").reshape(-1, 2, 3), [(0, 1), (1, 0)])

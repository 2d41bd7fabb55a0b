"""Datasets and detections in memory, for the tests of what judges detections."""

import numpy as np

from detkit.data import Annotation
from detkit.detections import Detections

NAMES = ("cat", "dog", "owl")


class Dataset:
    """Annotations in memory: each image a list of (box, label) or (box, label, difficult).

    areas: {image_id: areas of its objects}.
    ids: the image ids, if they are not the keys.
    """

    def __init__(self, images, class_names=NAMES, areas=None, ids=None):
        self.class_names = class_names
        self._images = [
            Annotation(
                image_id,
                100,
                100,
                np.array([o[0] for o in objects], np.float32).reshape(-1, 4),
                np.array([o[1] for o in objects], np.int32),
                np.array([len(o) > 2 and o[2] for o in objects], bool),
                areas and np.array(areas[image_id], np.float32),
            )
            for image_id, objects in zip(ids or images, images.values())
        ]

    def __len__(self):
        return len(self._images)

    def annotation(self, index):
        return self._images[index]


def detected(*rows, names=NAMES):
    """Detections of (box, score, label)."""
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int32),
        names,
    )


def square(x, y=0, side=10):
    return (x, y, x + side, y + side)


def random_case(seed, images=6, objects=5, difficult=0.2, areas=None):
    """A dataset and detections near its objects; every score is another.

    areas: {image: areas, at least as many as it may have objects}.
    """
    rng = np.random.default_rng(seed)
    truth, detections = {}, {}
    scores = iter(rng.permutation(10000) / 10000)
    for image in range(images):
        count = rng.integers(objects + 1)
        corners = rng.uniform(0, 60, (count, 2))
        boxes = np.hstack([corners, corners + rng.uniform(10, 40, (count, 2))])
        labels = rng.integers(0, len(NAMES), count)
        hard = rng.random(count) < difficult
        truth[image] = list(zip(boxes, labels, hard))
        rows = [
            (box + rng.normal(0, 2, 4), next(scores), label if rng.random() < 0.8 else 0)
            for box, label in zip(boxes, labels)
            for _ in range(rng.integers(3))
        ]
        rows += [(square(60 * rng.random(), 60 * rng.random()), next(scores), 1)]
        detections[image] = detected(*rows)
    given = areas and {image: areas[image][: len(objects)] for image, objects in truth.items()}
    return Dataset(truth, areas=given), detections

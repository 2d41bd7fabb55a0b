"""What pycocotools finds, and datasets on which its rules matter."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from support.evaluation import Dataset, detected, random_case, square


def by_pycocotools(truths, results, classes, kind):
    """The evaluation of entries by pycocotools."""
    indices = []
    for images in (truths, results):
        index = COCO()
        index.dataset = {
            "images": [
                {"id": number, "height": 0, "width": 0} for number in range(1, len(images) + 1)
            ],
            "categories": [{"id": number} for number in range(1, classes + 1)],
            "annotations": [
                {**entry, "id": number}
                for number, entry in enumerate((one for image in images for one in image), 1)
            ],
        }
        indices.append(index)
    with contextlib.redirect_stdout(io.StringIO()):
        for index in indices:
            index.createIndex()
        evaluation = COCOeval(*indices, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def crowded(seed):
    """More than 100 detections of a class in an image, equal scores, and crowds."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (30, 2))
    boxes = np.hstack([corners, corners + rng.uniform(5, 40, (30, 2))]).round()
    rows = [(box, number % 2, number % 5 == 0) for number, box in enumerate(boxes)]
    moved = [(box + rng.integers(-3, 4, 4), label) for box, label, _ in rows for _ in range(12)]
    scores = rng.integers(0, 20, len(moved)) / 20
    found = [(box, score, label) for (box, label), score in zip(moved, scores)]
    return Dataset({1: rows, 2: [], 3: rows[:4]}), {1: detected(*found), 3: detected(*found[:40])}


CASES = [
    *(random_case(seed, images=12) for seed in range(4)),
    *(crowded(seed) for seed in range(4)),
    (Dataset({1: [(square(0), 0)]}), {}),
    (Dataset({1: []}), {1: detected((square(0), 1, 0))}),
]

"""A large dataset and its detections in memory, as many as COCO's val2017 has if asked for them.

PYTHONPATH=.:tests python tests/support/many_images.py    times the analysis of 5,000 images
"""

import time

import numpy as np

from detkit.data import Annotation
from detkit.detections import Detections

WIDTH, HEIGHT = 640, 480


class Annotated:
    """A dataset of annotations in memory."""

    def __init__(self, annotations, class_names):
        self.class_names, self._annotations = class_names, annotations

    def __len__(self):
        return len(self._annotations)

    def annotation(self, index):
        return self._annotations[index]

    def masks(self, index):
        return None


def many_images(
    images=5000, classes=80, objects=36000, most=100, difficult=0.01, noise=0.08, digits=6, seed=0
):
    """Returns (dataset, detections): objects of 10 to 200 pixels, and detections near them.

    Nine of ten objects have detections, of which one in ten has another class; the rest of the
    ``most`` of an image, if it has objects at all, are false alarms with low scores. Common classes
    are 30 times as frequent as rare ones.

    noise: the standard deviation of a side of a detection, as a share of the object's size.
    digits: of the scores; few of them make ties.
    """
    rng = np.random.default_rng(seed)
    names = tuple(f"class {label}" for label in range(classes))
    share = np.geomspace(30, 1, classes)
    share /= share.sum()
    annotations, detections = [], {}
    for image, count in enumerate(rng.poisson(objects / images, images)):
        boxes, labels = _boxes(rng, count), rng.choice(classes, count, p=share)
        hard = rng.random(count) < difficult
        arrays = boxes, labels.astype(np.int32), hard
        annotations.append(Annotation(image, WIDTH, HEIGHT, *arrays))
        detections[image] = _found(rng, boxes, labels, most, share, names, noise, digits)
    return Annotated(annotations, names), detections


def _boxes(rng, count):
    size = rng.uniform(np.log(10), np.log(200), (count, 2))
    corner = rng.uniform(0, 1, (count, 2)) * (WIDTH, HEIGHT) * 0.7
    return np.hstack([corner, corner + np.exp(size)]).astype(np.float32)


def _found(rng, boxes, labels, most, share, names, noise, digits):
    seen = np.repeat(np.arange(len(boxes)), rng.integers(0, 4, len(boxes)))[: most // 2]
    near = boxes[seen] + rng.normal(0, noise, (len(seen), 4)) * np.tile(
        boxes[seen, 2:] - boxes[seen, :2], 2
    )
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    same = rng.random(len(seen)) < 0.9
    of_seen = np.where(same, labels[seen], rng.choice(len(names), len(seen), p=share))
    others = int(rng.integers(most // 2, most - len(seen) + 1))
    found = np.vstack([near, _boxes(rng, others)]).astype(np.float32)
    scores = np.concatenate([rng.beta(4, 2, len(seen)), rng.beta(1, 6, others)])
    scores = scores.round(digits).astype(np.float32)
    of_all = np.concatenate([of_seen, rng.choice(len(names), others, p=share)]).astype(np.int32)
    falling = np.argsort(-scores, kind="stable")
    return Detections(found[falling], scores[falling], of_all[falling], names)


if __name__ == "__main__":
    from detkit.analysis import differences, summarise

    dataset, detections = many_images(most=20)
    for work in (
        lambda: summarise(dataset, detections),
        lambda: differences(dataset, [detections, detections]),
    ):
        start, of_processor = time.perf_counter(), time.process_time()
        work()
        passed = time.perf_counter() - start, time.process_time() - of_processor
        print("{:.1f} s, {:.1f} s of the processor".format(*passed))

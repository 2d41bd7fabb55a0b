"""Random arrays such as a detector meets, float32, the same for every run."""

import numpy as np

HEIGHT, WIDTH = 800, 1088
IMAGE = np.array([[HEIGHT, WIDTH]], "float32")


def generator(*key):
    return np.random.default_rng(key)


def random_boxes(count, shortest=16, longest=400):
    """(count, 4): centres anywhere in the image, sides evenly spread on a logarithmic scale."""
    rng = generator(1, count)
    centres = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    sides = np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 2)))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    return np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype("float32")


def clustered_boxes(count, objects=40):
    """(count, 4): three of four lie around objects, as what an RPN proposes."""
    rng, found = generator(2, count), random_boxes(count)
    centres = random_boxes(objects, shortest=32)[rng.integers(0, objects, count)]
    sides = np.tile(centres[:, 2:] - centres[:, :2], 2)
    around = centres + rng.normal(0, 0.12, (count, 4)) * sides
    around[:, 2:] = np.maximum(around[:, 2:], around[:, :2] + 1)
    return np.where(rng.random((count, 1)) < 0.75, around, found).astype("float32")


def scores(count):
    """(count,): all different, so that no side has ties to decide."""
    return generator(3, count).permutation(np.linspace(0.01, 0.99, count)).astype("float32")


def anchors(stride, sizes, ratios=(0.5, 1, 2)):
    """(N, 4): an RPN's anchors at one level."""
    y, x = np.mgrid[0 : -(-HEIGHT // stride), 0 : -(-WIDTH // stride)] * stride + stride / 2
    centres = np.stack([x, y], axis=2)[:, :, None]
    sides = np.array([[size / ratio**0.5, size * ratio**0.5] for size in sizes for ratio in ratios])
    return np.concatenate([centres - sides / 2, centres + sides / 2], 3).reshape(-1, 4).astype("f")


def levels(strides_and_sizes):
    """anchors (1, N, 4), objectness (1, N), deltas (1, N, 4) of each level; no score is twice."""
    boxes = [anchors(stride, sizes) for stride, sizes in strides_and_sizes]
    ends = np.cumsum([len(level) for level in boxes])
    rng = generator(4, ends[-1])
    logits = rng.permutation(np.linspace(-10, 0, ends[-1])).astype("float32")
    deltas = rng.normal(0, 0.2, (ends[-1], 4)).astype("float32")
    return [
        (level[None], logits[None, end - len(level) : end], deltas[None, end - len(level) : end])
        for level, end in zip(boxes, ends)
    ]


def features(channels, height, width):
    """(1, channels, height, width)."""
    return generator(5).normal(size=(1, channels, height, width)).astype("float32")


def masks(count):
    """(1, count, HEIGHT, WIDTH) uint8: ellipses, and the boxes around them (count, 4)."""
    boxes = random_boxes(count, shortest=60, longest=500)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    drawn = np.zeros((1, count, HEIGHT, WIDTH), "uint8")
    for mask, (x1, y1, x2, y2) in zip(drawn[0], boxes):
        mask[((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1] = 1
    return drawn, boxes

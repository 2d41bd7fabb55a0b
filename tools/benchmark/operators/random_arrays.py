"""The random inputs of tools/benchmark_ops.py, of a detector's sizes and the same in every run.

All arrays are float32, unless their function says otherwise.
"""

from typing import List, Sequence, Tuple

import numpy as np

HEIGHT, WIDTH = 800, 1088
IMAGE = np.array([[HEIGHT, WIDTH]], "float32")


def generator(*key: int) -> np.random.Generator:
    """Returns the random numbers of a key."""
    return np.random.default_rng(key)


def random_boxes(count: int, shortest: float = 16, longest: float = 400) -> np.ndarray:
    """Returns (count, 4): centres uniform in the image, lengths uniform on a logarithmic scale."""
    rng = generator(1, count)
    centres = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    lengths = np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 2)))
    boxes = np.concatenate([centres - lengths / 2, centres + lengths / 2], axis=1)
    return np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype("float32")


def clustered_boxes(count: int, objects: int = 40) -> np.ndarray:
    """Returns (count, 4): three of four boxes lie around objects, like an RPN's proposals."""
    rng, anywhere = generator(2, count), random_boxes(count)
    centres = random_boxes(objects, shortest=32)[rng.integers(0, objects, count)]
    lengths = np.tile(centres[:, 2:] - centres[:, :2], 2)
    around = centres + rng.normal(0, 0.12, (count, 4)) * lengths
    around[:, 2:] = np.maximum(around[:, 2:], around[:, :2] + 1)
    return np.where(rng.random((count, 1)) < 0.75, around, anywhere).astype("float32")


def scores(count: int) -> np.ndarray:
    """Returns (count,): all scores differ, so that the order of ties does not matter."""
    return generator(3, count).permutation(np.linspace(0.01, 0.99, count)).astype("float32")


def anchors(
    stride: int, sizes: Sequence[float], ratios: Sequence[float] = (0.5, 1, 2)
) -> np.ndarray:
    """Returns (N, 4): an RPN's anchors at one level."""
    y, x = np.mgrid[0 : -(-HEIGHT // stride), 0 : -(-WIDTH // stride)] * stride + stride / 2
    centres = np.stack([x, y], axis=2)[:, :, None]
    shapes = np.array([[s / ratio**0.5, s * ratio**0.5] for s in sizes for ratio in ratios])
    boxes = np.concatenate([centres - shapes / 2, centres + shapes / 2], axis=3)
    return boxes.reshape(-1, 4).astype("float32")


def levels(
    strides_and_sizes: Sequence[Tuple[int, Sequence[float]]],
) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns anchors (1, N, 4), objectness (1, N), deltas (1, N, 4) of each level.

    All scores differ.
    """
    boxes = [anchors(stride, sizes) for stride, sizes in strides_and_sizes]
    ends = np.cumsum([len(level) for level in boxes])
    rng = generator(4, ends[-1])
    logits = rng.permutation(np.linspace(-10, 0, ends[-1])).astype("float32")
    deltas = rng.normal(0, 0.2, (ends[-1], 4)).astype("float32")
    return [
        (level[None], logits[None, end - len(level) : end], deltas[None, end - len(level) : end])
        for level, end in zip(boxes, ends)
    ]


def features(channels: int, height: int, width: int) -> np.ndarray:
    """Returns a feature map (1, channels, height, width)."""
    return generator(5).normal(size=(1, channels, height, width)).astype("float32")


def masks(count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns ellipses (1, count, HEIGHT, WIDTH) uint8, and the boxes around them (count, 4)."""
    boxes = random_boxes(count, shortest=60, longest=500)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    drawn = np.zeros((1, count, HEIGHT, WIDTH), "uint8")
    for mask, (x1, y1, x2, y2) in zip(drawn[0], boxes):
        mask[((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1] = 1
    return drawn, boxes

"""The agreement of two sides of tools/benchmark.py: the share of detections that both have."""

from pathlib import Path
from typing import List, Tuple

import numpy as np

from detkit.detections.overlap import pairwise_iou

from ..errors import BenchmarkError

# Two detections with one label are the same from this IoU on, if their scores differ by no more.
IOU, SCORE = 0.95, 0.02

Image = Tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes (n, 4), scores (n,), labels (n,)


def shared_detections(path: Path, other: Path) -> float:
    """Returns the share of the detections of one file that the other has too, in [0, 1].

    The share is taken in both directions, and the smaller one counts. It is 1 if both files are
    empty. The files are written by worker.Answers.detections. Raises BenchmarkError if they have
    different numbers of images.
    """
    images, others = read(path), read(other)
    if len(images) != len(others):
        raise BenchmarkError(f"{other}: expected {len(images)} images, found {len(others)}")
    same = [matches(*pair) for pair in zip(images, others)]
    shares = []
    for axis in (1, 0):
        hits = np.concatenate([matrix.any(axis) for matrix in same])
        shares.append(hits.mean() if len(hits) else 1.0)
    return float(min(shares))


def read(path: Path) -> List[Image]:
    """Returns boxes, scores and labels of each image of a file."""
    with np.load(path) as file:
        return [
            (file[f"boxes_{n}"], file[f"scores_{n}"], file[f"labels_{n}"])
            for n in range(len(file.files) // 3)
        ]


def matches(image: Image, other: Image) -> np.ndarray:
    """Returns (n, m) of bool: which detections of one image are which of the other's."""
    (boxes, scores, labels), (other_boxes, other_scores, other_labels) = image, other
    return (
        (labels[:, None] == other_labels)
        & (np.abs(scores[:, None] - other_scores) <= SCORE)
        & (pairwise_iou(boxes, other_boxes) >= IOU)
    )

"""The agreement of the sides of tools/benchmark.py: the share of detections that two have."""

from pathlib import Path
from typing import Collection, Dict, List, Mapping, Optional, Tuple

import numpy as np

from detkit.detections.overlap import pairwise_iou

from ..errors import BenchmarkError
from .progress import progress
from .sides import FP32, Side
from .worker_process import WorkerProcess

AGREEMENT = 0.9  # the share of detections that two sides in full precision must have in common
# Two detections with one label are the same from this IoU on, if their scores differ by no more.
IOU, SCORE = 0.95, 0.02

Image = Tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes (n, 4), scores (n,), labels (n,)


def agreements(
    sides: Collection[Side],
    workers: Mapping[str, WorkerProcess],
    folder: Path,
    required: bool = True,
) -> Dict[str, Optional[float]]:
    """Returns {side: share of detections in common with the first}, None for other weights.

    workers: {side: its worker}. folder: for the detections, which the workers write. Raises
    BenchmarkError if ``required`` and a side in full precision has too small a share.
    """
    shares: Dict[str, Optional[float]] = {}
    progress.say("the detections of each side")
    paths = {side.name: folder / f"{side.name.replace(' ', '-')}.npz" for side in sides}
    first, *_ = paths
    for side in sides:
        workers[side.name].ask("detections", path=str(paths[side.name]))
        if not side.compared:
            shares[side.name] = None
            continue
        share = shares[side.name] = shared_detections(paths[first], paths[side.name])
        if required and side.precision == FP32 and share < AGREEMENT:
            raise BenchmarkError(
                f"{side.name}: expected at least {AGREEMENT:.0%} of its detections and of those of "
                f"{first} to be the same, found {share:.0%}: they do not run the same network; "
                "--no-compare measures them nevertheless"
            )
    return shares


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

"""The agreement of the sides of tools/benchmark.py: the share of detections that two have."""

from pathlib import Path
from typing import Collection, Dict, List, Mapping, Optional

import numpy as np

from detkit.detections.overlap import pairwise_iou

from ..errors import BenchmarkError
from .progress import progress
from .sides import FP32, Side
from .worker import FOUND
from .worker_process import WorkerProcess

AGREEMENT = 0.9  # the share of detections that two sides in full precision must have in common
# Two detections with one label are the same from this IoU on, if their scores differ by no more.
IOU, SCORE = 0.95, 0.02
# So many of their keypoints, a share, are then at most so many pixels apart.
KEYPOINTS, APART = 0.9, 0.5

Image = Dict[str, np.ndarray]  # boxes (n, 4), scores (n,), labels (n,), perhaps keypoints (n, J, 3)


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
    """Returns the arrays of each image of a file by name."""
    with np.load(path) as file:
        count = sum(name.startswith("boxes_") for name in file.files)
        return [
            {name: file[f"{name}_{n}"] for name in FOUND if f"{name}_{n}" in file.files}
            for n in range(count)
        ]


def matches(image: Image, other: Image) -> np.ndarray:
    """Returns (n, m) of bool: which detections of one image are which of the other's.

    Keypoints are compared if both have them.
    """
    same = (
        (image["labels"][:, None] == other["labels"])
        & (np.abs(image["scores"][:, None] - other["scores"]) <= SCORE)
        & (pairwise_iou(image["boxes"], other["boxes"]) >= IOU)
    )
    if "keypoints" in image and "keypoints" in other:
        offsets = image["keypoints"][:, None, :, :2] - other["keypoints"][..., :2]
        near = np.abs(offsets).max(axis=3, initial=0) <= APART
        same &= near.mean(axis=2) >= KEYPOINTS
    return same

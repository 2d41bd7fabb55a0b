"""Samples with precomputed proposals, for a network that makes none of its own."""

from typing import Any, List, Optional, Sequence

import numpy as np

from detkit.data.sample import Faults, Sample
from detkit.errors import DataError


def add_proposals(
    samples: Sequence[Sample], proposals: Optional[Sequence[Any]], needed: bool, who: str
) -> List[Sample]:
    """Returns the samples with the proposals that a network needs.

    proposals: boxes (R, 4) in pixels of the image of each sample, or None.
    needed: whether the network takes proposals.
    who: the network, as in a message: "a FastRCNN".

    Raises DataError for proposals that are missing or not needed, and for anything else than boxes.
    """
    if not needed:
        if proposals is not None:
            raise DataError(
                f"proposals: expected none, because {who} makes its own proposals; call "
                "detect(images)"
            )
        return list(samples)
    if proposals is None or len(proposals) != len(samples):
        count = "none" if proposals is None else len(proposals)
        raise DataError(
            f"proposals: {who} needs boxes (R, 4) for each image: expected {len(samples)} arrays, "
            f"found {count}; call detect(images, proposals)"
        )
    return [
        with_proposals(sample, check_proposals(boxes, f"proposals[{position}]"), dropped=[])
        for position, (sample, boxes) in enumerate(zip(samples, proposals))
    ]


def check_proposals(boxes: Any, where: str) -> np.ndarray:
    """Returns the boxes as (R, 4) float32.

    where: the place that a message begins with.

    Raises DataError for anything else than finite boxes.
    """
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "uif":
        raise DataError(
            f"{where}: expected boxes (R, 4), x1 y1 x2 y2 in pixels, found {boxes.dtype} "
            f"{boxes.shape}"
        )
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        raise DataError(f"{where}: expected finite boxes, found {boxes[~finite][0].tolist()}")
    return boxes.astype(np.float32)


def with_proposals(sample: Sample, boxes: np.ndarray, dropped: Faults) -> Sample:
    """Returns the Sample with proposals: boxes (R, 4) in pixels, clipped to its image.

    Boxes outside the image are dropped, which is recorded in `dropped`.
    """
    height, width = sample.image.shape[:2]
    clipped = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
    kept = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    if not kept.all():
        reason = f"{(~kept).sum()} of {len(boxes)} proposals have no area in the image, which is "
        dropped.append((sample.image_id, f"{reason}{width} x {height} pixels"))
    return sample._replace(proposals=clipped[kept])

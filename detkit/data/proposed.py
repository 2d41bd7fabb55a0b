"""Samples with proposals that come with the image, for a network that makes none of its own."""

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from detkit.data.sample import Sample
from detkit.errors import DataError


def add_proposals(
    samples: Sequence[Sample], proposals: Optional[Sequence[Any]], needed: bool, who: str
) -> List[Sample]:
    """The samples with the proposals that a network needs.

    proposals: boxes (R, 4) in pixels of each sample's image, or None. needed: whether the network
    takes proposals. who: the network, as messages call it: "a FastRCNN".

    Raises DataError for proposals that are missing, too many or no boxes.
    """
    if not needed:
        if proposals is not None:
            raise DataError(f"{who} makes its own proposals: call detect(images)")
        return list(samples)
    if proposals is None or len(proposals) != len(samples):
        found = "none" if proposals is None else f"those of {len(proposals)}"
        raise DataError(
            f"{who} needs proposals: call detect(images, proposals) with boxes (R, 4) for "
            f"each of the {len(samples)} images; found {found}"
        )
    return [
        with_proposals(sample, check_proposals(boxes, f"proposals[{position}]"), dropped=[])
        for position, (sample, boxes) in enumerate(zip(samples, proposals))
    ]


def check_proposals(boxes: Any, where: str) -> np.ndarray:
    """The boxes as (R, 4) float32. Raises DataError, beginning with ``where``, if they are none."""
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "uif":
        found = f"{boxes.dtype} {boxes.shape}"
        raise DataError(f"{where}: found {found}, expected boxes (R, 4), x1 y1 x2 y2 in pixels")
    if not np.isfinite(boxes).all():
        raise DataError(f"{where}: a box is not finite")
    return boxes.astype(np.float32)


def with_proposals(sample: Sample, boxes: np.ndarray, dropped: List[Tuple[Any, str]]) -> Sample:
    """The Sample with proposals: boxes (R, 4) in pixels of its image, clipped to it.

    Those of which nothing is left are gone, which is added to `dropped`.
    """
    height, width = sample.image.shape[:2]
    clipped = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
    kept = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    if not kept.all():
        reason = f"{(~kept).sum()} of {len(boxes)} proposals have no area in the image, which is "
        dropped.append((sample.image_id, f"{reason}{width} x {height} pixels"))
    return sample._replace(proposals=clipped[kept])

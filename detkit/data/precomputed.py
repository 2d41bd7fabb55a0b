"""Proposals that come with the data: a file of boxes, made beforehand by another detector."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from detkit.data.one_class import OneClass
from detkit.data.sample import Dataset, Sample
from detkit.detections.proposal_files import is_proposal_file, read_proposals
from detkit.detections.results import load_results
from detkit.errors import DataError


def load_proposals(path: str, dataset: Dataset, limit: int = 2000) -> Dict[Any, np.ndarray]:
    """{image_id: boxes (R, 4) float32} of every image of the dataset, best first.

    path: what tools/test.py writes of an RPN: an .npz of proposals (see `save_proposals`), or
        COCO's results JSON of category_id 1 alone, which is slow beyond some hundred images.
    limit: the boxes of best score that are kept of an image.

    Raises DataError for a file that is no such thing, or that leaves out an image. JSON leaves out
    an image without proposals; an .npz tells that there are none, and that is no error.
    """
    if limit < 1:
        raise ValueError(f"limit is at least 1, not {limit}")
    file, objects = Path(path).expanduser(), OneClass(dataset)
    if is_proposal_file(file):
        proposals = {
            image_id: boxes for image_id, (boxes, _) in read_proposals(file, objects).items()
        }
    else:
        read = load_results(file, objects)
        proposals = {image_id: one.boxes for image_id, one in read.items() if len(one.boxes)}
    image_ids = [dataset.annotation(index).image_id for index in range(len(dataset))]
    missing = [image_id for image_id in image_ids if image_id not in proposals]
    if missing:
        raise DataError(
            f"{path}: has no proposals for {len(missing)} of {len(image_ids)} images, beginning "
            f"with {missing[0]!r}; was it made of another split, or could they not be read then?"
        )
    return {image_id: proposals[image_id][:limit] for image_id in image_ids}


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

"""Precomputed proposals: boxes that another detector wrote to a file."""

from pathlib import Path
from typing import Any, Dict

import numpy as np

from detkit.data.one_class import OneClass
from detkit.data.sample import Dataset, Faults, Sample
from detkit.detections.proposal_files import is_proposal_file, read_proposals
from detkit.detections.results import load_results
from detkit.errors import DataError


def load_proposals(path: str, dataset: Dataset, limit: int = 2000) -> Dict[Any, np.ndarray]:
    """Returns {image_id: boxes (R, 4) float32} of every image of the dataset, the best box first.

    path: a file that tools/test.py wrote for an RPN: an .npz of proposals (see `save_proposals`),
        or COCO's results JSON with category_id 1 alone, which is slow beyond some hundred images.
    limit: the number of boxes with the highest scores that are kept for each image.

    Raises DataError for a file of another format and for one that lacks an image. An .npz may hold
    0 proposals of an image; JSON cannot, and therefore lacks such an image.
    """
    if limit < 1:
        raise ValueError(f"limit: expected at least 1, found {limit}")
    file, objects = Path(path).expanduser(), OneClass(dataset)
    if is_proposal_file(file):
        read = read_proposals(file, objects)
        proposals = {image_id: boxes for image_id, (boxes, _) in read.items()}
    else:
        results = load_results(file, objects)
        proposals = {image_id: one.boxes for image_id, one in results.items() if len(one.boxes)}
    image_ids = [dataset.annotation(index).image_id for index in range(len(dataset))]
    missing = [image_id for image_id in image_ids if image_id not in proposals]
    if missing:
        raise DataError(
            f"{path}: expected proposals of every image, found none of {len(missing)} of "
            f"{len(image_ids)} images, first {missing[0]!r}; write the file again for this split"
        )
    return {image_id: proposals[image_id][:limit] for image_id in image_ids}


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

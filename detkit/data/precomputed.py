"""Precomputed proposals: boxes that another detector, or another program, wrote to a file."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from detkit.data.one_class import OneClass
from detkit.data.sample import Dataset
from detkit.data.tiled_dataset import Tiles
from detkit.detections.proposal_files import is_proposal_file, read_by_name, read_proposals
from detkit.detections.results import load_results
from detkit.errors import DataError
from detkit.wording import did_you_mean


def load_proposals(path: str, dataset: Dataset, limit: int = 2000) -> Dict[Any, np.ndarray]:
    """Returns {image_id: boxes (R, 4) float32} of every image of the dataset, the best box first.

    path: an .npz of proposals, as detkit test writes for an RPN (see `save_proposals`); a .mat of
        Fast R-CNN's (see `read_mat_proposals`); or, by any other name, COCO's results JSON with
        category_id 1 alone, which is slow beyond some hundred images.
    limit: the number of boxes with the highest scores that are kept for each image, or for each
        tile of one: the file of Tiles has the proposals of whole images.

    Raises DataError for a file of another format and for one that lacks an image. An .npz or a
    .mat may hold 0 proposals of an image; JSON cannot, and therefore lacks such an image.
    """
    if limit < 1:
        raise ValueError(f"limit: expected at least 1, found {limit}")
    if isinstance(dataset, Tiles):  # the file knows the images that the tiles are of
        cut = dataset.cut_proposals(_of_dataset(path, dataset.whole))
        return {image_id: boxes[:limit] for image_id, boxes in cut.items()}
    read = _of_dataset(path, dataset)
    return {image_id: boxes[:limit] for image_id, boxes in read.items()}


def _of_dataset(path: str, dataset: Dataset) -> Dict[Any, np.ndarray]:
    """Returns {image_id: boxes (R, 4)} of all proposals; see ``load_proposals``."""
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
    return {image_id: proposals[image_id] for image_id in image_ids}


def proposals_of_files(
    path: Optional[str], images: Sequence[str], needed: bool, who: str
) -> Optional[List[np.ndarray]]:
    """Returns the proposals (R, 4) of each image file, the best first, or None if not ``needed``.

    path: an .npz or a .mat of proposals, see `load_proposals`.
    images: paths. The name of an image file without its suffix is the id of the image in the file.
        000000000139.jpg is also COCO's image 139.
    needed: whether the network takes proposals.
    who: the network, as in a message: "a FastRCNN".

    Raises DataError for a path that is missing or not needed, for a file of another format, and for
    an image that is not in the file.
    """
    if not needed:
        if path is not None:
            raise DataError(
                f"--proposals: expected none, because {who} makes its own proposals, found {path}; "
                "remove the argument"
            )
        return None
    if path is None:
        raise DataError(
            f"--proposals: expected a file, because {who} makes no proposals, found none; "
            "add --proposals FILE.npz"
        )
    if not is_proposal_file(path):
        raise DataError(
            f"--proposals: expected an .npz or a .mat of proposals, found {path}; detkit test "
            "--out FILE.npz writes one for an RPN, detkit propose one of Selective Search"
        )
    return _of_images(path, images)


def _of_images(path: str, images: Sequence[str]) -> List[np.ndarray]:
    known = read_by_name(path)
    proposals = []
    for image in images:
        stem = Path(image).stem
        name = str(int(stem)) if stem not in known and stem.isdecimal() else stem
        if name not in known:
            hint = did_you_mean(name, known) or f"; its ids are like {next(iter(known), None)!r}"
            raise DataError(f"{path}: expected proposals of {image}, found no id {name!r}{hint}")
        proposals.append(known[name][0])
    return proposals

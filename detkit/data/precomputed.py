"""Proposals that come with the data: a file of boxes, made beforehand by another detector."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from detkit.data.one_class import OneClass
from detkit.data.sample import Dataset
from detkit.detections.proposal_files import is_proposal_file, read_by_name, read_proposals
from detkit.detections.results import load_results
from detkit.errors import DataError
from detkit.wording import did_you_mean


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


def proposals_of_files(
    path: Optional[str], images: Sequence[str], needed: bool, who: str
) -> Optional[List[np.ndarray]]:
    """The proposals (R, 4), best first, of each of several image files; None if not ``needed``.

    path: an .npz of proposals, see `save_proposals`. images: paths. The proposals of an image are
    found by its file's name without the suffix, or by the number that this is (000000000139.jpg is
    COCO's image 139). needed: whether the network takes proposals. who: the network, as messages
    call it: "a FastRCNN".

    Raises DataError for a path that is missing or not needed, for a file that is no such thing, and
    for an image that the file does not know.
    """
    if not needed:
        if path is not None:
            raise DataError(f"--proposals {path}: {who} makes its own proposals; leave it out")
        return None
    if path is None:
        raise DataError(f"{who} needs proposals: name a file of them, --proposals FILE.npz")
    if not is_proposal_file(path):
        raise DataError(
            f"--proposals {path}: expected an .npz of proposals, found {Path(path).suffix!r}; "
            "tools/test.py --out FILE.npz writes one for an RPN"
        )
    known = read_by_name(path)
    found = []
    for image in images:
        stem = Path(image).stem
        name = str(int(stem)) if stem not in known and stem.isdecimal() else stem
        if name not in known:
            hint = did_you_mean(name, known) or f"; its ids are like {next(iter(known), None)!r}"
            raise DataError(f"{path}: has no proposals for {image}, expected the id {name!r}{hint}")
        found.append(known[name][0])
    return found

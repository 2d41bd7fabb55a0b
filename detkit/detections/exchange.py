"""Detections in the forms of others: COCO's results, and supervision's class.

supervision is no dependency of detkit and is imported only if it is asked for.
"""

from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from detkit.detections.coco_labels import category_ids_of
from detkit.detections.detections import Detections
from detkit.errors import DetkitError
from detkit.keypoints import to_coco as keypoints_to_coco
from detkit.segmentations import THRESHOLD, encode

KEYS = ("image_id", "category_id", "bbox", "score")
MASK, KEYPOINTS = "segmentation", "keypoints"


def to_coco(
    found: Detections, image_id: Union[int, str], category_ids: Optional[Sequence[int]] = None
) -> List[Dict[str, Any]]:
    """Returns COCO's results of an image; see Detections.to_coco."""
    ids = category_ids_of(found.class_names) if category_ids is None else category_ids
    boxes = found.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    entries = []
    rows = zip(boxes.tolist(), found.scores.tolist(), found.labels)
    for index, (box, score, label) in enumerate(rows):
        entry = dict(zip(KEYS, (_plain(image_id), _plain(ids[label]), box, score)))
        if found.has_masks:
            rle = found.rle(index)
            entry[MASK] = {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
        if found.keypoints is not None:
            entry[KEYPOINTS] = keypoints_to_coco(found.keypoints[index])
        entries.append(entry)
    return entries


def to_supervision(found: Detections) -> Any:
    """Returns supervision's Detections; see Detections.to_supervision."""
    try:
        import supervision
    except ImportError as error:
        raise DetkitError(
            f"to_supervision: expected the package supervision, found none ({error}); install it "
            "with pip install supervision 'opencv-python<4.12' 'numpy<1.27'"
        ) from error
    masks = found.masks
    return supervision.Detections(
        xyxy=np.array(found.boxes, np.float32),
        mask=None if masks is None else masks >= THRESHOLD,
        confidence=np.array(found.scores, np.float32),
        class_id=np.array(found.labels, int),
        data={"class_name": found.names},
    )


def from_supervision(theirs: Any, class_names: Sequence[str]) -> Detections:
    """Returns detkit's Detections; see Detections.from_supervision."""
    count = len(theirs.xyxy)
    scores = np.ones(count) if theirs.confidence is None else theirs.confidence
    labels = np.zeros(count) if theirs.class_id is None else np.asarray(theirs.class_id)
    if count and not 0 <= labels.min() <= labels.max() < len(class_names):
        raise ValueError(
            f"class_id: expected numbers from 0 to {len(class_names) - 1}, because there are "
            f"{len(class_names)} class_names, found {labels.min()} to {labels.max()}"
        )
    found = Detections(
        np.asarray(theirs.xyxy, np.float32).reshape(count, 4),
        np.asarray(scores, np.float32),
        labels.astype(np.int32),
        tuple(class_names),
    )
    if theirs.mask is None:
        return found
    masks = np.asarray(theirs.mask, bool)
    height, width = masks.shape[1:]
    return replace(found, image_size=(height, width), rles=[encode(mask) for mask in masks])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value

"""Pictures of the ground truth: images with their boxes, names, masks and keypoints."""

from typing import List, Mapping, Optional, Sequence

import numpy as np

from detkit import segmentations
from detkit.constants import CROWD, PADDING
from detkit.data.annotated import sample_of
from detkit.data.keypoints import FIELD, Keypoints
from detkit.data.sample import Annotation, Batch, Dataset, Faults, Field, HasFields, Sample
from detkit.detections import Detections
from detkit.detections.draw import draw_detections

SMALL, LARGE = 320, 1280  # pixels of the longer side; other pictures are enlarged or made smaller
LONGEST_NAME = 40  # characters of a class name that are drawn


def sample_with_all(dataset: Dataset, index: int, dropped: Faults) -> Sample:
    """Returns the Sample of an image with the masks and keypoints that the dataset has.

    dropped: see sample_of. Raises ImageError and the DataError of the masks.
    """
    fields: Mapping[str, Field] = {}
    if getattr(dataset, "keypoint_names", ()) and isinstance(dataset, HasFields):
        fields = {FIELD: dataset.field(FIELD, index)}
    masks = dataset.masks(index)
    return sample_of(dataset.annotation(index), dataset.image(index), dropped, masks, fields)


def truth_picture(sample: Sample, class_names: Sequence[str]) -> np.ndarray:
    """Returns the image of a Sample with its objects, (H, W, 3) uint8 RGB.

    An object has the colour of its class; masks and keypoints have colours of their own. Difficult
    objects are dashed boxes without a name.
    """
    height, width = sample.image.shape[:2]
    kept = ~sample.difficult
    names = [name[:LONGEST_NAME] for name in class_names]
    truth = Detections(
        boxes=sample.boxes[kept],
        scores=np.ones(int(kept.sum()), np.float32),
        labels=sample.labels[kept],
        class_names=names,
        keypoints=_keypoints(sample, kept),
        **_masks(sample, kept),
    )
    difficult = Annotation(
        sample.image_id,
        width,
        height,
        sample.boxes[~kept],
        sample.labels[~kept],
        sample.difficult[~kept],
    )
    side = max(height, width)
    scale = float(np.clip(side, SMALL, LARGE)) / side
    return draw_detections(sample.image, truth, 0, difficult, scale, with_scores=False)


def batch_pictures(batch: Batch, class_names: Sequence[str], most: int) -> List[np.ndarray]:
    """Returns pictures (H, W, 3) uint8 RGB of the first ``most`` images of a Batch.

    The pixels are those that the network is given, without the padding. Objects are drawn as
    ``truth_picture`` draws them.
    """
    return [
        truth_picture(_sample_in(batch, row), class_names)
        for row in range(min(most, len(batch.sizes)))
    ]


def _sample_in(batch: Batch, row: int) -> Sample:
    """Returns an image of a Batch without its padding."""
    height, width = batch.sizes[row].astype(int)
    there = batch.labels[row] != PADDING
    fields: Mapping[str, Field] = {}
    if FIELD in batch.fields:
        fields = {FIELD: Keypoints(batch.fields[FIELD][row, there], ())}
    return Sample(
        batch.image_ids[row],
        batch.images[row, :, :height, :width].transpose(1, 2, 0),
        batch.boxes[row, there],
        batch.labels[row, there].astype(np.int32),
        batch.labels[row, there] == CROWD,
        None if batch.masks is None else batch.masks[row, there, :height, :width],
        fields=fields,
    )


def _masks(sample: Sample, kept: np.ndarray) -> dict:
    if sample.masks is None:
        return {}
    encoded: List[segmentations.RLE] = [segmentations.encode(mask) for mask in sample.masks[kept]]
    return {"rles": encoded, "image_size": sample.image.shape[:2]}


def _keypoints(sample: Sample, kept: np.ndarray) -> Optional[np.ndarray]:
    """Returns the keypoints (n, J, 3) with the score 1 for each that is labelled, or None."""
    field = sample.fields.get(FIELD)
    if not isinstance(field, Keypoints):
        return None
    points = field.take(kept).points
    return np.concatenate([points[..., :2], points[..., 2:] > 0], axis=2)

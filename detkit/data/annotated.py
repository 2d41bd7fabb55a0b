"""An image, its annotation, and the masks and fields of its objects -> a Sample."""

from typing import Mapping, Optional

import cv2
import numpy as np

from detkit.data.decoded import Decoded
from detkit.data.sample import NO_FIELDS, Annotation, Faults, Field, Sample
from detkit.segmentations import fit


def sample_of(
    annotation: Annotation,
    image: np.ndarray,
    dropped: Faults,
    masks: Optional[np.ndarray] = None,
    fields: Mapping[str, Field] = NO_FIELDS,
) -> Sample:
    """Returns the Sample of an image, its annotation and its objects' masks (G, H, W) and fields.

    If the annotation states another size than the image has (a rotated photograph, a wrong <size>),
    the image is right. Boxes and masks are clipped to it; boxes outside it are dropped, which is
    recorded in `dropped`.
    """
    height, width = image.shape[:2]
    boxes = annotation.boxes
    kept = np.ones(len(boxes), bool)
    if (height, width) != (annotation.height, annotation.width):
        boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        dropped.extend(
            (
                annotation.image_id,
                f"box {box.tolist()} lies outside the image, which is {width} x {height} pixels "
                f"and not {annotation.width} x {annotation.height} as annotated",
            )
            for box in annotation.boxes[~kept]
        )
    return Sample(
        image_id=annotation.image_id,
        image=image,
        boxes=boxes[kept],
        labels=annotation.labels[kept],
        difficult=annotation.difficult[kept],
        masks=None if masks is None else fit(masks[kept], (height, width)),
        fields={name: field.take(kept) for name, field in fields.items()},
    )


def shrunk(sample: Sample, decoded: Decoded) -> Sample:
    """Returns the Sample of an image in full size with the image that was decoded smaller.

    Boxes, proposals and fields are divided by the factor, without rounding: a pixel of the smaller
    image stands for factor x factor pixels. A pixel of a mask is 1 if the mask covers at least half
    of these pixels.
    """
    factor = decoded.factor
    if factor == 1:
        return sample
    moved = sample.move_boxes(lambda boxes: boxes / np.float32(factor))
    moved = moved.move_fields(lambda field: field.scale(1 / factor, 1 / factor))
    masks = sample.masks
    return moved._replace(
        image=decoded.image,
        masks=None if masks is None else _shrunk_masks(masks, decoded),
    )


def _shrunk_masks(masks: np.ndarray, decoded: Decoded) -> np.ndarray:
    """Returns masks (G, H, W) in the size of the smaller image."""
    height, width = decoded.image.shape[:2]
    below, right = height * decoded.factor - masks.shape[1], width * decoded.factor - masks.shape[2]
    smaller = np.zeros((len(masks), height, width), masks.dtype)
    for mask, target in zip(masks, smaller):
        whole = cv2.copyMakeBorder(mask * 255, 0, below, 0, right, cv2.BORDER_REPLICATE)
        target[:] = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA) > 127
    return smaller

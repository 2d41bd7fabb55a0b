"""The detections of a dataset: found by a detector, and paired with the annotations."""

from typing import Any, Dict, List, Tuple

import numpy as np

from detkit.detections import Detections
from detkit.errors import DataError


def detect_dataset(detector, loader, interrupt=None):
    """{image_id: Detections} of all the loader's images, whole batches at a time.

    None if ``interrupt`` (see detkit/runner/interrupt.py) was signalled on the way. Images that
    cannot be decoded are missing; ``loader.skipped`` lists them.
    """
    detections = {}
    for batch in loader.batches(epoch=0):
        if interrupt is not None and interrupt.signal is not None:
            return None
        detections.update(zip(batch.image_ids, detector.detect_batch(batch)))
    return detections


def no_detections(class_names) -> Detections:
    return Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), class_names
    )


def paired(dataset, detections: Dict[Any, Detections]) -> List[Tuple[Any, Detections]]:
    """(annotation, detections) of every image of the dataset, in its order.

    An image that is not in `detections` has none. Raises DataError for a dataset without images
    or with an image id twice, and for detections of an unknown image, with labels out of range,
    with numbers that are not finite, or of other classes than the dataset's.
    """
    names = tuple(dataset.class_names)
    pairs = {}
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        if annotation.image_id in pairs:
            raise DataError(f"the dataset has the image {annotation.image_id!r} twice")
        found = detections.get(annotation.image_id)
        if found is None:
            found = no_detections(names)
        _check(annotation.image_id, found, names)
        pairs[annotation.image_id] = (annotation, found)
    if not pairs:
        raise DataError("cannot evaluate: the dataset has no images")
    unknown = [image_id for image_id in detections if image_id not in pairs]
    if unknown:
        raise DataError(
            f"detections of {len(unknown)} images are not of this dataset's {len(pairs)}, "
            f"beginning with {unknown[0]!r}: was it another split?"
        )
    return list(pairs.values())


def _check(image_id, found: Detections, names: Tuple[str, ...]) -> None:
    if tuple(found.class_names) != names:
        raise DataError(
            f"image {image_id!r}: the detector knows the classes {list(found.class_names)}, "
            f"the dataset {list(names)}"
        )
    labels = np.asarray(found.labels)
    if labels.size and not (labels.min() >= 0 and labels.max() < len(names)):
        raise DataError(
            f"image {image_id!r}: labels from {labels.min()} to {labels.max()}, "
            f"expected 0 to {len(names) - 1}"
        )
    if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
        raise DataError(f"image {image_id!r}: a detected box or score is not finite")

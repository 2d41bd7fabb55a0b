"""The detections of a dataset: made by a detector, and paired with the annotations."""

from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Protocol, Sequence, Tuple

import numpy as np

from detkit.detections import Detections
from detkit.errors import DataError

if TYPE_CHECKING:
    from detkit.data.sample import Annotation, Dataset


class DetectsBatches(Protocol):
    """The protocol of a detector."""

    def detect_batch(self, batch: Any) -> Sequence[Detections]:
        """Returns the detections of each image of a batch."""


class LoadsBatches(Protocol):
    """The protocol of a loader."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """Yields the batches of an epoch."""


class Interruptible(Protocol):
    """The protocol of a record of signals, see detkit/runner/interrupt.py."""

    @property
    def signal(self) -> Optional[int]:
        """The signal that was received, or None."""


def detect_dataset(
    detector: DetectsBatches, loader: LoadsBatches, interrupt: Optional[Interruptible] = None
) -> Optional[Dict[Any, Detections]]:
    """Returns {image_id: Detections} of all the loader's images.

    It returns None if ``interrupt`` received a signal before the last batch. Images that cannot be
    decoded are missing; ``loader.skipped`` lists them.
    """
    detections: Dict[Any, Detections] = {}
    for batch in loader.batches(epoch=0):
        if interrupt is not None and interrupt.signal is not None:
            return None
        detections.update(zip(batch.image_ids, detector.detect_batch(batch)))
    return detections


def no_detections(class_names: Sequence[str]) -> Detections:
    """Returns the Detections of an image without any."""
    return Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), class_names
    )


def paired(
    dataset: "Dataset", detections: Dict[Any, Detections]
) -> List[Tuple["Annotation", Detections]]:
    """Returns (annotation, detections) of every image of the dataset, in its order.

    An image that is missing in `detections` has no detections.

    Raises DataError for a dataset without images or with an image id twice, and for detections of
    an unknown image, with labels out of range, with numbers that are not finite, or of other
    classes than the dataset's.
    """
    names = tuple(dataset.class_names)
    pairs: Dict[Any, Tuple[Annotation, Detections]] = {}
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        image_id = annotation.image_id
        if image_id in pairs:
            raise DataError(f"dataset: expected each image once, found {image_id!r} twice")
        detected = detections.get(image_id)
        if detected is None:
            detected = no_detections(names)
        _check(image_id, detected, names)
        pairs[image_id] = (annotation, detected)
    if not pairs:
        raise DataError("dataset: expected at least one image, found none")
    unknown = [image_id for image_id in detections if image_id not in pairs]
    if unknown:
        raise DataError(
            f"detections: expected those of the dataset's {len(pairs)} images, found those of "
            f"{len(unknown)} other images, first {unknown[0]!r}; use the dataset's own split"
        )
    return list(pairs.values())


def _check(image_id: Any, detected: Detections, names: Tuple[str, ...]) -> None:
    if tuple(detected.class_names) != names:
        raise DataError(
            f"image {image_id!r}: expected detections of the dataset's classes {list(names)}, "
            f"found those of {list(detected.class_names)}"
        )
    labels = np.asarray(detected.labels)
    if labels.size and not (labels.min() >= 0 and labels.max() < len(names)):
        raise DataError(
            f"image {image_id!r}: expected labels from 0 to {len(names) - 1}, found labels from "
            f"{labels.min()} to {labels.max()}"
        )
    if not (np.isfinite(detected.boxes).all() and np.isfinite(detected.scores).all()):
        raise DataError(
            f"image {image_id!r}: expected finite boxes and scores, found one that is not finite"
        )

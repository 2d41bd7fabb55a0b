"""A dataset whose objects are all of one class, for detectors that do not tell classes apart."""

from typing import Optional, Tuple

import numpy as np

from detkit.data.sample import Annotation, Dataset


class OneClass:
    """The images and boxes of ``dataset``; the class of every box is "object"."""

    class_names: Tuple[str, ...] = ("object",)

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.dropped, self.bad_images = dataset.dropped, dataset.bad_images

    def __len__(self) -> int:
        return len(self._dataset)

    def annotation(self, index: int) -> Annotation:
        """Returns the dataset's annotation with labels 0."""
        annotation = self._dataset.annotation(index)
        return annotation._replace(labels=np.zeros_like(annotation.labels))

    def image(self, index: int) -> np.ndarray:
        """Returns the dataset's image."""
        return self._dataset.image(index)

    def source(self, index: int) -> Tuple[Dataset, int]:
        """Returns the dataset whose image it is, and its index there."""
        return self._dataset, index

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns the dataset's masks."""
        return self._dataset.masks(index)

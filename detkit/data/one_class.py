"""A dataset whose objects are all of one class, for what does not tell them apart."""

from typing import Optional

import numpy as np

from detkit.data.sample import Annotation, Dataset


class OneClass:
    """The images and the boxes of ``dataset``; each is an "object"."""

    class_names = ("object",)

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self.dropped, self.bad_images = dataset.dropped, dataset.bad_images

    def __len__(self) -> int:
        return len(self._dataset)

    def annotation(self, index: int) -> Annotation:
        """As of the dataset, with labels 0."""
        annotation = self._dataset.annotation(index)
        return annotation._replace(labels=np.zeros_like(annotation.labels))

    def image(self, index: int) -> np.ndarray:
        """As of the dataset."""
        return self._dataset.image(index)

    def masks(self, index: int) -> Optional[np.ndarray]:
        """As of the dataset."""
        return self._dataset.masks(index)

"""A dataset in memory."""

import numpy as np

from detkit.data.sample import Annotation
from detkit.errors import ImageError


class Pictures:
    """A dataset in memory: image i is filled with i and holds one box of i + 1 pixels."""

    class_names = ("thing",)

    def __init__(self, sizes, broken=(), annotated=None, bad_images=()):
        self.sizes = sizes
        self.broken = broken
        self.annotated = annotated or sizes
        self.dropped = []
        self.bad_images = list(bad_images)

    def __len__(self):
        return len(self.sizes)

    def annotation(self, index):
        height, width = self.annotated[index]
        boxes = np.array([[0, 0, index + 1, index + 1]], np.float32)
        return Annotation(
            str(index), width, height, boxes, np.zeros(1, np.int32), np.zeros(1, bool)
        )

    def image(self, index):
        if index in self.broken:
            raise ImageError(f"{index}.jpg: JPEG truncated after 3 bytes")
        return np.full(self.sizes[index] + (3,), index, np.uint8)

    def masks(self, index):
        return None

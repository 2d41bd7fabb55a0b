"""Images of one class without objects, and proposals of them."""

import numpy as np

from detkit.data import Annotation
from detkit.detections import Detections


class Numbered:
    """Images of one class with the ids it is given, without objects."""

    class_names, dropped, bad_images = ("object",), (), ()

    def __init__(self, *ids):
        self._ids = ids

    def __len__(self):
        return len(self._ids)

    def annotation(self, index):
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool)
        return Annotation(self._ids[index], 60, 40, *nothing)


def proposed(boxes, scores):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array(scores, np.float32), np.zeros(len(boxes), np.int32), ("object",)
    )

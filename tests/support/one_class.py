"""Images of one class without objects, and proposals of them."""

import numpy as np

from detkit.data import Annotation
from detkit.detections import Detections
from detkit.detections.proposal_files import save_proposals


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
    """Detections of one class."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array(scores, np.float32), np.zeros(len(boxes), np.int32), ("object",)
    )


def proposed_file(path, boxes):
    """Writes {image id: boxes} into an .npz, the first box as the best; the path."""
    found = {name: proposed(each, np.linspace(1, 0.5, len(each))) for name, each in boxes.items()}
    save_proposals(path, found, Numbered(*boxes))
    return path

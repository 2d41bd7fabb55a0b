"""What a detector says about one image."""

from typing import NamedTuple, Sequence

import numpy as np


class Detections(NamedTuple):
    """The objects found in one image, best first.

    boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the image as it was given.
    scores: (n,) float32 in [0, 1].
    labels: (n,) int32, indices into class_names.
    class_names: the K names the detector was trained with.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]

"""One detection of an image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

if TYPE_CHECKING:
    from detkit.detections.detections import Detections
    from detkit.segmentations import RLE


@dataclass(frozen=True, eq=False, repr=False)
class Detection:
    """One object that a detector found: a row of Detections, which it reads when it is asked.

    detections: the Detections that it belongs to. row: its index in them.
    """

    detections: "Detections"
    row: int

    @property
    def box(self) -> np.ndarray:
        """The corners (4,) float32, x1 y1 x2 y2 in pixels of the image."""
        box: np.ndarray = self.detections.boxes[self.row]
        return box

    @property
    def score(self) -> float:
        """The score in [0, 1]."""
        return float(self.detections.scores[self.row])

    @property
    def label(self) -> int:
        """The index of the class in ``class_names``."""
        return int(self.detections.labels[self.row])

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.detections.class_names[self.label]

    @property
    def keypoints(self) -> Optional[np.ndarray]:
        """The keypoints (J, 3) float32, x y and a score of each; None without keypoints."""
        return None if self.detections.keypoints is None else self.detections.keypoints[self.row]

    def mask(self) -> np.ndarray:
        """Returns the mask's probabilities (H, W) float32. Raises ValueError without masks."""
        return self.detections.mask(self.row)

    def rle(self) -> "RLE":
        """Returns the mask in COCO's format, see Detections.rle."""
        return self.detections.rle(self.row)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Detection):
            return NotImplemented
        return bool(self.detections[[self.row]] == other.detections[[other.row]])

    def __repr__(self) -> str:
        x1, y1, x2, y2 = (f"{corner:.1f}" for corner in self.box)
        return f"Detection({self.name} {self.score:.2f}: {x1}, {y1}, {x2}, {y2})"

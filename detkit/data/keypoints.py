"""Keypoints of objects, the field of a Sample that a KeypointRCNN is trained on."""

import re
from typing import Sequence, Tuple

import numpy as np

from detkit.errors import DataError

FIELD = "keypoints"  # its name
SIDES = {"left": "right", "right": "left"}


class Keypoints:
    """The keypoints of G objects; a detkit.data.sample.Field and MovingField.

    points: (G, J, 3) float32: x and y in pixels, and COCO's flag, 0 for a keypoint that is not
        labelled, 1 for a hidden one and 2 for a visible one.
    order_after: for the axes 0 and 1 of an image, the J indices of the keypoints that take the
        places 0..J-1 if it is mirrored along the axis: what was a left hand is then a right one.
    """

    def __init__(self, points: np.ndarray, order_after: Sequence[Sequence[int]]) -> None:
        self.points = np.asarray(points, np.float32)
        self._order_after = order_after

    def take(self, rows: np.ndarray) -> "Keypoints":
        """Returns the keypoints of some of the objects; rows: (G,) bool."""
        return Keypoints(self.points[rows], self._order_after)

    def scale(self, x: float, y: float) -> "Keypoints":
        """Returns the keypoints after the image was resized by the factors x and y."""
        return Keypoints(self.points * np.array([x, y, 1], np.float32), self._order_after)

    def mirror(self, axis: int, side: int) -> "Keypoints":
        """Returns the keypoints after the image was mirrored; see Field."""
        mirrored = self.points[:, list(self._order_after[axis])]
        mirrored[..., 1 - axis] = side - mirrored[..., 1 - axis]
        return Keypoints(mirrored, self._order_after)

    def warp(self, matrix: np.ndarray, size: Tuple[int, int]) -> "Keypoints":
        """Returns the moved keypoints; outside of the image they are not labelled.

        See MovingField.
        """
        warped = self.points.copy()
        warped[..., :2] = self.points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
        inside = ((warped[..., :2] >= 0) & (warped[..., :2] < size)).all(axis=-1)
        warped[~inside | (self.points[..., 2] == 0)] = 0
        return Keypoints(warped, self._order_after)

    def cover(self, covered: np.ndarray) -> "Keypoints":
        """Returns the keypoints with those in covered pixels hidden; covered: (H, W) bool."""
        points, (height, width) = self.points.copy(), covered.shape
        column = np.clip(points[..., 0], 0, width - 1).astype(int)
        row = np.clip(points[..., 1], 0, height - 1).astype(int)
        points[..., 2] = np.where(covered[row, column], points[..., 2].clip(max=1), points[..., 2])
        return Keypoints(points, self._order_after)

    def join(self, other: "Keypoints") -> "Keypoints":
        """Returns these keypoints and, after them, those of another image's objects."""
        return Keypoints(np.concatenate([self.points, other.points]), self._order_after)

    def array(self, slots: int) -> np.ndarray:
        """Returns the padded array (slots, J, 3) float32; padding is not labelled."""
        return np.pad(self.points, ((0, slots - len(self.points)), (0, 0), (0, 0)))


def order_of_sides(names: Sequence[str]) -> Tuple[int, ...]:
    """Returns the order of keypoints after a mirror, by the words left and right in their names.

    "left_eye" and "right_eye" exchange their places; a name without a counterpart stays.
    """
    places = {name: place for place, name in enumerate(names)}
    others = (re.sub("left|right", lambda side: SIDES[side[0]], name) for name in names)
    return tuple(places.get(other, place) for place, other in enumerate(others))


def check_field(dataset: object, name: str, names: Sequence[str]) -> None:
    """Raises DataError unless ``name`` is FIELD and ``dataset`` has ``names`` of keypoints."""
    if name != FIELD or not names:
        found = f"the field {FIELD!r} alone" if names else "no fields"
        raise DataError(
            f"dataset {type(dataset).__name__}: expected the field {name!r}, on which this "
            f"detector is trained, found {found}; use a dataset that has it"
        )

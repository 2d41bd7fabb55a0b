"""Keypoints in COCO's files: the names of a category, and the points of an annotation."""

import reprlib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from detkit.data.names import check_text
from detkit.errors import DataError
from detkit.keypoints import MOST_KEYPOINTS, from_coco
from detkit.segmentations import is_number

FLAGS = (0, 1, 2)  # not labelled, hidden, visible


def names_of(categories: List[Dict[str, Any]], file: str) -> Tuple[str, ...]:
    """Returns the names of the J keypoints of a file's categories, none if no category has any.

    A ``skeleton`` beside them is not read: the keypoint head has the one that is drawn.

    Raises DataError, with the place in ``file``, for names of another form, and if two categories
    have different ones, because one head finds the keypoints of all classes.
    """
    found: List[Tuple[str, ...]] = []
    for index, category in enumerate(categories):
        if category.get("keypoints"):
            where = f"{file}: categories[{index}].keypoints"
            found.append(_names(category["keypoints"], where))
            if found[-1] != found[0]:
                raise DataError(
                    f"{where}: expected the names of the categories before, "
                    f"{reprlib.repr(found[0])}, found {reprlib.repr(found[-1])}; all classes share "
                    "their keypoints"
                )
    return found[0] if found else ()


def _names(names: Any, where: str) -> Tuple[str, ...]:
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or len(set(names)) < len(names) or len(names) > MOST_KEYPOINTS:
        raise DataError(
            f"{where}: expected at most {MOST_KEYPOINTS} different names, found "
            f"{reprlib.repr(names)}"
        )
    for name in names:
        check_text(name, where)
    return tuple(names)


def keypoints_fault(values: Any, count: int, reach: int) -> Optional[str]:
    """Returns the reason why the keypoints of an annotation cannot be used, or None.

    values: of the key ``keypoints``, x, y and a flag for each; None if an object has none.
    count: J. reach: how far a keypoint may lie outside of the image, in pixels; the longer side.
    """
    if values is None or not count:
        return None
    if not isinstance(values, list) or len(values) != 3 * count or not all(map(is_number, values)):
        return f"keypoints {reprlib.repr(values)} are not {count} times x, y, v"
    points = np.array(values, np.float64).reshape(-1, 3)
    if not np.isin(points[:, 2], FLAGS).all():
        return f"keypoints {reprlib.repr(values)} have another v than 0, 1 or 2"
    labelled = points[points[:, 2] > 0, :2]
    if not ((labelled >= -reach) & (labelled <= 2 * reach)).all():  # NaN fails the test too
        return f"keypoints {reprlib.repr(values)} lie too far outside of the image"
    return None


def points_of(values: Optional[List[float]], count: int) -> Optional[np.ndarray]:
    """Returns points (J, 3) as Keypoints has them, of ``values`` without a fault, or None.

    values, count: see keypoints_fault. A keypoint that is not labelled is 0 0 0.
    """
    if values is None or not count:
        return None
    points = from_coco(values)
    return np.where(points[:, 2:] > 0, points, 0)


def stacked(objects: Sequence[Optional[np.ndarray]], count: int) -> np.ndarray:
    """Returns points (G, J, 3) of the points (J, 3) of G objects, some of which have None."""
    nothing = np.zeros((count, 3), np.float32)
    rows = [nothing if points is None else points for points in objects]
    return np.array(rows, np.float32).reshape(-1, count, 3)

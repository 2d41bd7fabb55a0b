"""Keypoints in COCO's files: the names of a category, and the points of an annotation."""

import reprlib
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit.data.names import check_text
from detkit.errors import DataError
from detkit.keypoints import MOST_KEYPOINTS, from_coco
from detkit.segmentations import is_number

FLAGS = (0, 1, 2)  # not labelled, hidden, visible


class Pose(NamedTuple):
    """The keypoints of a dataset's objects.

    names: the J names. skeleton: pairs of indices of keypoints that a drawing connects.
    """

    names: Tuple[str, ...] = ()
    skeleton: Tuple[Tuple[int, int], ...] = ()


def pose_of(categories: List[Dict[str, Any]], file: str) -> Pose:
    """Returns the Pose of the categories of a file, which is empty if none has keypoints.

    Raises DataError, with the place in ``file``, for names or a skeleton of another form, and if
    two categories have different ones, because one head finds the keypoints of all classes.
    """
    poses: List[Pose] = []
    for index, category in enumerate(categories):
        if category.get("keypoints"):
            where = f"{file}: categories[{index}]"
            poses.append(_pose(category["keypoints"], category.get("skeleton") or [], where))
            if poses[-1] != poses[0]:
                raise DataError(
                    f"{where}.keypoints: expected the names and the skeleton of the categories "
                    f"before, {reprlib.repr(poses[0].names)}, found "
                    f"{reprlib.repr(poses[-1].names)}; all classes share their keypoints"
                )
    return poses[0] if poses else Pose()


def _pose(names: Any, skeleton: Any, where: str) -> Pose:
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or len(set(names)) < len(names) or len(names) > MOST_KEYPOINTS:
        raise DataError(
            f"{where}.keypoints: expected at most {MOST_KEYPOINTS} different names, found "
            f"{reprlib.repr(names)}"
        )
    for name in names:
        check_text(name, f"{where}.keypoints")
    numbers = range(1, len(names) + 1)  # COCO counts keypoints from 1
    if not isinstance(skeleton, list) or not all(_is_limb(limb, numbers) for limb in skeleton):
        raise DataError(
            f"{where}.skeleton: expected pairs of numbers from 1 to {len(names)}, found "
            f"{reprlib.repr(skeleton)}"
        )
    return Pose(tuple(names), tuple((first - 1, second - 1) for first, second in skeleton))


def _is_limb(limb: Any, numbers: range) -> bool:
    is_pair = isinstance(limb, list) and len(limb) == 2
    return is_pair and all(type(end) is int and end in numbers for end in limb)


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

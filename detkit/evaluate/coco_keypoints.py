"""Keypoints in COCO's evaluation: the entries of pycocotools, the sigmas, and the metrics."""

from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from detkit.data.keypoints import FIELD
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.errors import DataError
from detkit.keypoints import PERSON_SIGMAS, to_coco

Sigmas = Union[None, float, Sequence[float]]


def check_sigmas(sigmas: Sigmas) -> Sigmas:
    """Returns ``sigmas``. Raises ValueError unless they are numbers above 0, or None."""
    numbers = [] if sigmas is None else np.ravel(sigmas).tolist()
    if not all(0 < number < np.inf for number in numbers):
        raise ValueError(f"sigmas: expected numbers above 0, found {sigmas!r}")
    return sigmas


def sigmas_for(dataset: Dataset, sigmas: Sigmas) -> np.ndarray:
    """Returns the sigmas (J,) of the keypoints of ``dataset``.

    sigmas: of each keypoint, or one number for all, or None for COCO's of a person.

    Raises DataError for another number of them than the dataset has keypoints.
    """
    count = len(keypoint_names(dataset))
    given = np.ravel(PERSON_SIGMAS if sigmas is None else sigmas)
    if sigmas is not None and np.ndim(sigmas) == 0:
        given = given.repeat(count)
    if len(given) != count:
        raise DataError(
            f"evaluate.sigmas: expected one number for each of the dataset's {count} keypoints, or "
            f"one for all, found {len(given)}{' (the default)' if sigmas is None else ''}"
        )
    return given


def keypoint_names(dataset: Dataset) -> Sequence[str]:
    """Returns the names of the keypoints of ``dataset``, none if it has no keypoints."""
    return getattr(dataset, "keypoint_names", ())


def add_keypoints(
    dataset: Dataset,
    detections: Sequence[Detections],
    truths: List[List[Dict[str, Any]]],
    results: List[List[Dict[str, Any]]],
) -> bool:
    """Puts keypoints into COCO's entries of each image; returns False if there are none.

    The area of a detection is that of its keypoints, as in pycocotools.

    detections: of each image. truths, results: the entries of its objects and of its detections.

    Raises DataError for another number of keypoints than the dataset has.
    """
    if all(found.keypoints is None for found in detections) or not keypoint_names(dataset):
        return False
    for index, found in enumerate(detections):
        field: Any = dataset
        points = field.field(FIELD, index).array(len(truths[index]))
        for entry, truth in zip(truths[index], points):
            entry["keypoints"] = to_coco(truth)
            entry["num_keypoints"] = int((truth[:, 2] > 0).sum())
        for entry, keypoints in zip(results[index], _keypoints(found, points.shape[1])):
            entry["keypoints"] = to_coco(keypoints)
            entry["area"] = float(np.ptp(keypoints[:, :2].astype(np.float64), axis=0).prod())
    return True


def _keypoints(found: Detections, count: int) -> np.ndarray:
    """Returns the keypoints (n, J, 3) of the detections of an image, J being ``count``."""
    keypoints: Optional[np.ndarray] = found.keypoints
    shape = (len(found.boxes), count, 3)
    if keypoints is None and not len(found.boxes):
        return np.zeros(shape)
    if keypoints is None or keypoints.shape != shape:
        raise DataError(
            f"detections: expected keypoints {shape}, as the dataset has {count} of each object, "
            f"found {None if keypoints is None else keypoints.shape}; use the detector's own data"
        )
    return keypoints


def keypoint_means(stats: Sequence[float]) -> Dict[str, float]:
    """Returns pycocotools' ``stats`` of keypoints by name, nan if there are no objects."""
    # stats: AP, AP50, AP75, APm, APl, AR20, then AR50, AR75, ARm, ARl; -1 if no objects.
    means = [float(value) if value > -1 else float("nan") for value in stats]
    return dict(zip(("AP", "AP50", "AP75", "APm", "APl", "AR20"), means))

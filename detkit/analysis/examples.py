"""The images on which a detector is best and worst, and that it confuses most."""

from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

import numpy as np

from detkit.analysis.curves import as_written
from detkit.analysis.matches import IGNORED
from detkit.data.sample import Annotation, Dataset
from detkit.detections import Detections
from detkit.evaluate.hits import Pairs

MOST = 12  # images of each kind


class Judged(NamedTuple):
    """The objects of an image, and its detections that count and reach a threshold.

    detections: the rows of the n detections.
    found: (n,) the index of the object of each, or NOTHING.
    hit: (n,) bool, whether the object is of the detection's class.
    objects: the indices of the objects that are not difficult.
    """

    detections: np.ndarray
    found: np.ndarray
    hit: np.ndarray
    objects: np.ndarray

    @property
    def mistakes(self) -> int:
        """The number of false alarms and of objects that are missed or have another class."""
        return int(len(self.detections) + len(self.objects) - 2 * self.hit.sum())

    @property
    def confused(self) -> int:
        """The number of detections of another class than their object's."""
        return int((~self.hit & (self.found >= 0)).sum())

    @property
    def f1(self) -> Optional[float]:
        """The F1 of the image; None if it has neither objects nor detections."""
        both = len(self.detections) + len(self.objects)
        return float(2 * self.hit.sum() / both) if both else None


def judge(
    annotation: Annotation, detections: Detections, matched: np.ndarray, threshold: float
) -> Judged:
    """Returns an image Judged by the objects that ``match_image`` found for its detections."""
    reached = detections.scores >= np.asarray(threshold, detections.scores.dtype)
    rows = np.flatnonzero(reached & (matched != IGNORED))
    found = matched[rows]
    labels = np.append(annotation.labels, -1)[found]  # -1 for NOTHING, which is index -1
    hit = labels == detections.labels[rows]
    return Judged(rows, found, hit, np.flatnonzero(~annotation.difficult))


def examples(
    dataset: Dataset,
    pairs: Pairs,
    matched: Sequence[np.ndarray],
    threshold: float,
    most: int = MOST,
) -> List[Dict[str, Any]]:
    """Returns up to ``most`` images of each kind at a threshold, with objects and detections.

    "best" have the largest F1 and then the most objects; "worst" the smallest F1 and then the most
    mistakes; "confused" the most detections of another class than their object's. Images of equal
    rank are in the dataset's order. An image without objects and detections is no example, nor is
    one without hits among the best, or without mistakes among the worst.

    matched: the result of ``match_image`` for each image.
    """
    judged = [judge(*pair, one, threshold) for pair, one in zip(pairs, matched)]
    known = [index for index, one in enumerate(judged) if one.f1 is not None]
    f1 = {index: judged[index].f1 or 0.0 for index in known}
    kinds: Dict[str, Iterable[int]] = {
        "best": sorted(
            (index for index in known if f1[index] > 0),
            key=lambda index: (-f1[index], -len(judged[index].objects)),
        ),
        "worst": sorted(
            (index for index in known if f1[index] < 1),
            key=lambda index: (f1[index], -judged[index].mistakes),
        ),
        "confused": sorted(
            (index for index in known if judged[index].confused),
            key=lambda index: -judged[index].confused,
        ),
    }
    return [
        {"kind": kind, **_example(dataset, index, *pairs[index], judged[index])}
        for kind, indices in kinds.items()
        for index in list(indices)[:most]
    ]


def _example(
    dataset: Dataset, index: int, annotation: Annotation, detections: Detections, judged: Judged
) -> Dict[str, Any]:
    path = getattr(dataset, "image_path", None)  # readers have it, the protocol of datasets not
    found = set(judged.found[judged.hit].tolist())
    return {
        "image_id": annotation.image_id,
        "path": None if path is None else str(path(index)),
        "width": annotation.width,
        "height": annotation.height,
        "f1": judged.f1,
        "objects": [
            {
                "box": _rounded(annotation.boxes[row]),
                "label": int(annotation.labels[row]),
                "difficult": bool(annotation.difficult[row]),
                "found": row in found,
            }
            for row in range(len(annotation.boxes))
        ],
        "detections": [
            {
                "box": _rounded(detections.boxes[row]),
                "label": int(detections.labels[row]),
                "score": as_written(detections.scores[row]),
                "hit": bool(hit),
            }
            for row, hit in zip(judged.detections, judged.hit)
        ],
    }


def _rounded(box: np.ndarray) -> List[float]:
    return [round(float(side), 2) for side in box]

"""The images that all forms detect in, and what their detections are worth."""

import contextlib
import os
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np

from detkit.data import Shapes
from detkit.data.images import list_images
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError, ImageError
from detkit.threshold import UNCHOSEN, Threshold

if TYPE_CHECKING:
    from detkit.evaluate.judged import Evaluator  # needs pycocotools, which an .onnx does not

SIZE = (480, 640)  # height and width of the drawn images, in pixels
# Two detections of one label are equal from this IoU on, if their scores differ by no more.
IOU, SCORE = 0.9, 0.05
JUDGES = ("AP", "AP50")  # the metric that decides, the first that the evaluator has


class Images(NamedTuple):
    """The images: their files, their ids, and words on what they are."""

    paths: List[str]
    ids: List[Any]
    what: str


class Judge:
    """A dataset with its evaluator.

    split: the name of the dataset, for people. limit: judge by its first images alone.
    """

    def __init__(
        self, dataset: Dataset, evaluator: "Evaluator", split: str, limit: Optional[int] = None
    ) -> None:
        self.dataset: Any = dataset if limit is None else FirstImages(dataset, limit)
        self._evaluator, self._split = evaluator, split

    def images(self, scratch: str) -> Images:
        """Returns the images; those of a dataset that has no files are written into ``scratch``."""
        count = len(self.dataset)
        ids = [self.dataset.annotation(index).image_id for index in range(count)]
        if hasattr(self.dataset, "image_path"):
            paths = [str(self.dataset.image_path(index)) for index in range(count)]
        else:
            paths = [_written(self.dataset, index, scratch) for index in range(count)]
        return Images(paths, ids, f"of data.{self._split}")

    def metrics(self, found: Dict[Any, Detections]) -> Dict[str, Any]:
        """Returns the metrics of {image_id: Detections}. Raises DataError without AP and AP50."""
        metrics = self._evaluator(self.dataset, found)
        if not set(JUDGES) & set(metrics):
            raise DataError(
                f"evaluate: expected an evaluator with {' or '.join(JUDGES)}, by which the forms "
                f"are compared, found one with {', '.join(map(repr, metrics))}"
            )
        return metrics


class FirstImages:
    """The first images of a dataset; all else is the dataset's."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        self._dataset, self._count = dataset, count

    def __len__(self) -> int:
        return min(self._count, len(self._dataset))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)


def pictures(given: Sequence[str], scratch: str, count: int) -> Images:
    """Returns images without annotations: files and folders, or drawn ones if none are given."""
    if given:
        paths = [str(path) for path in list_images(given)]
        return Images(paths, list(range(len(paths))), "that were given")
    shapes = Shapes(length=count, size=SIZE)
    paths = [_written(shapes, index, scratch) for index in range(count)]
    return Images(paths, list(range(count)), "that are drawn")


def share_equal(
    expected: Sequence[Optional[Detections]],
    found: Sequence[Optional[Detections]],
    threshold: Optional[Threshold] = None,
) -> Optional[float]:
    """Returns the share of the detections that two forms have in common, in [0, 1].

    A detection counts if it reaches the threshold of the detector, or a score of UNCHOSEN. It is
    equal to one of the other form that has its label, an IoU of at least IOU and a score that
    differs by at most SCORE, also if that one does not reach the threshold. The share is taken in
    both directions, and the smaller one is returned; None if no detection counts.
    """
    shares = []
    for ours, theirs in ((expected, found), (found, expected)):
        hits = [
            _has_equal(one[_counts(one, threshold)], other)
            for one, other in zip(ours, theirs)
            if one is not None and other is not None
        ]
        joined = np.concatenate(hits) if hits else np.zeros(0, bool)
        if len(joined):
            shares.append(float(joined.mean()))
    return min(shares) if shares else None


def _counts(found: Detections, threshold: Optional[Threshold]) -> np.ndarray:
    kept: np.ndarray = found.scores >= UNCHOSEN if threshold is None else threshold.keeps(found)
    return kept


def _has_equal(found: Detections, others: Detections) -> np.ndarray:
    """Returns (n,) bool, whether each detection is equal to one of the others."""
    same = (
        (found.labels[:, None] == others.labels)
        & (np.abs(found.scores[:, None] - others.scores) <= SCORE)
        & (pairwise_iou(found.boxes, others.boxes) >= IOU)
    )
    hit: np.ndarray = same.any(axis=1)
    return hit


def _written(dataset: Dataset, index: int, scratch: str) -> str:
    """Writes an image without loss and returns its path, at which nothing is if it is damaged."""
    path = os.path.join(scratch, f"{index:06}.png")
    # The processes say of a missing file what they say of a damaged one.
    with contextlib.suppress(ImageError):
        cv2.imwrite(path, cv2.cvtColor(dataset.image(index), cv2.COLOR_RGB2BGR))
    return path

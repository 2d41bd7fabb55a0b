"""The detections of one image.

MXNet, pycocotools and supervision are imported within functions: code that only reads or draws
boxes should neither need them nor wait for them.
"""

import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
    overload,
)

import numpy as np

from detkit.detections.detection import Detection
from detkit.keypoints import decode
from detkit.wording import first_few

if TYPE_CHECKING:
    from detkit.data.sample import Batch
    from detkit.segmentations import RLE


MASKS = 3  # axes of the masks (D, M, M) of an image; heatmaps (D, J, M, M) have one more


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The n objects that a detector found in one image, the best first.

    It is a sequence of Detection: ``len(found)`` is n, ``if found`` asks whether there are objects,
    ``for one in found`` yields them, and ``found[0]`` is the best. A slice, a boolean mask (n,) or
    indices select rows and give Detections: ``found[:3]``, ``found[found.scores > 0.5]``,
    ``found[found.names == "cat"]``, ``found[[2, 0]]``.

    Two Detections are equal if all that they hold is equal. ``dataclasses.replace`` changes fields.

    The masks have one of three states: mask_probs from a detector with masks, rles from a file, or
    neither. image_size belongs to the masks and is None without them. Only a detector of keypoints
    has keypoints.

    boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the image on disk.
    scores: (n,) float32 in [0, 1].
    labels: (n,) int32, indices into class_names.
    class_names: the K names of the detector's classes.
    mask_probs: (n, M, M) float32, the probability of the object in each cell of its box.
    image_size: (height, width) of the image in pixels.
    rles: the n masks in COCO's format.
    keypoints: (n, J, 3) float32, x and y in pixels of the image, and a score in [0, 1].
    skeleton: pairs of indices of keypoints that a drawing connects.

    Raises ValueError if the arrays have different lengths.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]
    mask_probs: Optional[np.ndarray] = None
    image_size: Optional[Tuple[int, int]] = None
    rles: Optional[Sequence["RLE"]] = None
    keypoints: Optional[np.ndarray] = None
    skeleton: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        lengths = {name: len(rows) for name, rows in self._rows().items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected as many of each as there are boxes, found {lengths}")

    def _rows(self) -> Dict[str, Any]:
        """Returns the fields that have a row for each object."""
        names = ("boxes", "scores", "labels", "mask_probs", "rles", "keypoints")
        fields = {name: getattr(self, name) for name in names}
        return {name: rows for name, rows in fields.items() if rows is not None}

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detection]:
        return (Detection(self, row) for row in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Detection: ...

    @overload
    def __getitem__(self, index: Any) -> "Detections": ...

    def __getitem__(self, index: Any) -> Union[Detection, "Detections"]:
        """Returns a Detection for an integer, and otherwise the Detections of the chosen rows.

        Raises IndexError for rows that there are not, and for a mask of another length.
        """
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index.astype(int) if index.size == 0 and index.dtype != bool else index
        rows = np.arange(len(self))[index]
        if np.ndim(rows) == 0:
            return Detection(self, int(rows))
        if np.ndim(rows) != 1:
            raise IndexError(
                f"detections: expected an integer, a slice, a mask ({len(self)},) or indices of "
                f"one axis, found an array {np.shape(index)} of {np.asarray(index).dtype}"
            )
        chosen = {name: _taken(values, rows) for name, values in self._rows().items()}
        return replace(self, **chosen)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        return self._plain() == other._plain() and all(
            np.array_equal(mine, theirs)
            for mine, theirs in zip(self._rows().values(), other._rows().values())
        )

    def _plain(self) -> Tuple[Any, ...]:
        """Returns all but the arrays, in a form that can be compared."""
        skeleton = [tuple(pair) for pair in self.skeleton]
        return [*self._rows()], [*self.class_names], self.image_size, skeleton

    def __repr__(self) -> str:
        counts = [f"{n} {name}" for name, n in Counter(self.names.tolist()).most_common()]
        plural = "" if len(self) == 1 else "s"
        return f"Detections({len(self)} object{plural}{': ' * bool(counts)}{first_few(counts)})"

    @property
    def names(self) -> np.ndarray:
        """The class name of each object, (n,) of strings."""
        return np.array([self.class_names[label] for label in self.labels], dtype=str)

    @property
    def has_masks(self) -> bool:
        """Whether each box has a mask."""
        return self.mask_probs is not None or self.rles is not None

    @property
    def masks(self) -> Optional[np.ndarray]:
        """The probabilities (n, H, W) float32, computed on each access; None without masks."""
        if not self.has_masks:
            return None
        if self.rles is None:
            return self._pasted(slice(None))
        pasted = np.zeros((len(self), *self._size()), np.float32)
        for index in range(len(pasted)):
            pasted[index] = self.mask(index)
        return pasted

    def mask(self, index: int) -> np.ndarray:
        """Returns one of ``masks``, (H, W) float32, without the memory of the others.

        Raises ValueError for detections without masks.
        """
        size = self._size()
        if self.rles is not None:
            from detkit.segmentations import decode

            return decode(self.rles[index], *size).astype(np.float32)
        return self._pasted([index])[0]

    def rle(self, index: int) -> "RLE":
        """Returns the pixels of a mask with at least segmentations.THRESHOLD in COCO's format."""
        if self.rles is not None:
            return self.rles[index]
        from detkit.segmentations import THRESHOLD, encode

        return encode(self.mask(index) >= THRESHOLD)

    def _pasted(self, rows: Union[slice, List[int]]) -> np.ndarray:
        if "mxnet" in sys.modules:  # its operator uses several threads
            from detkit.ops import paste_masks as pasted
        else:
            from detkit.detections.paste import pasted
        return pasted(np.asarray(self.mask_probs)[rows], self.boxes[rows], *self._size())

    def _size(self) -> Tuple[int, int]:
        if not self.has_masks or self.image_size is None:
            raise ValueError("expected detections with masks and an image_size, found none")
        return self.image_size

    def to_coco(
        self, image_id: Union[int, str], category_ids: Optional[Sequence[int]] = None
    ) -> List[Dict[str, Any]]:
        """Returns COCO's results of the image, an entry for each object, ready for JSON.

        category_ids: the id of each class, such as ``category_ids`` of a COCO dataset. None: COCO's
            own ids, from 1 to 90, for its 80 classes, and label + 1 for all others.

        An entry is {image_id, category_id, bbox [x, y, w, h], score}, and what there is of
        ``segmentation``, a compressed RLE, and ``keypoints``, x y and a score of each in COCO's
        coordinates. The files of detections that tools write have the same entries.
        """
        from detkit.detections.exchange import to_coco

        return to_coco(self, image_id, category_ids)

    def to_supervision(self) -> Any:
        """Returns supervision's Detections of the same objects.

        They have xyxy, confidence, class_id, data["class_name"] and, from a detector of masks, mask
        (n, H, W) bool. Keypoints are left out. Raises DetkitError without the package supervision.
        """
        from detkit.detections.exchange import to_supervision

        return to_supervision(self)

    @classmethod
    def from_supervision(cls, theirs: Any, class_names: Sequence[str]) -> "Detections":
        """Returns supervision's Detections as detkit's, in their order.

        class_names: the names of class_id 0, 1, ...

        A class_id that is None becomes 0, a confidence that is None 1. Masks become RLEs. Raises
        ValueError for a class_id without a name.
        """
        from detkit.detections.exchange import from_supervision

        return from_supervision(theirs, class_names)


def _taken(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def detections_of(
    batch: "Batch",
    outputs: Sequence[np.ndarray],
    class_names: Sequence[str],
    first_label: int = 0,
    skeleton: Sequence[Sequence[int]] = (),
) -> List[Detections]:
    """Returns the Detections of each image of a Batch, with boxes in pixels of the image on disk.

    outputs: the network's outputs as numpy arrays: boxes (B, D, 4) in pixels of the batch, scores
        (B, D), labels (B, D) and, from a detector with masks, probabilities (B, D, M, M), or from
        one of keypoints the logits of heatmaps (B, D, J, M, M). A row without a detection has the
        score -1.
    first_label: the index in class_names of the network's label 0.
    skeleton: of the keypoints, see Detections.
    """
    detections = []
    for size, scale, boxes, scores, labels, *more in zip(batch.sizes, batch.scales, *outputs):
        real = scores >= 0
        found = Detections(
            boxes=boxes[real] / np.tile(scale, 2),
            scores=scores[real],
            labels=labels[real].astype("int32") + first_label,
            class_names=class_names,
        )
        if more and more[0].ndim == MASKS:
            image_size = tuple(np.rint(size / scale[::-1]).astype(int).tolist())
            found = replace(found, mask_probs=more[0][real], image_size=image_size)
        elif more:
            keypoints = decode(more[0][real], boxes[real], size)
            keypoints[..., :2] /= scale
            found = replace(found, keypoints=keypoints, skeleton=skeleton)
        detections.append(found)
    return detections

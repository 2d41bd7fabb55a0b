"""The tuples that pass from a dataset to the network, and the protocol of a dataset.

A dataset is any object with the attributes and methods of :class:`Dataset`; it need not inherit
from it. An :class:`Annotation` is the ground truth of an image that has not been decoded. A
:class:`Sample` is one image on its way through the transforms. A :class:`Batch` is the input of the
network.
"""

from types import MappingProxyType
from typing import (
    Any,
    Callable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
    runtime_checkable,
)

import numpy as np

from detkit.errors import DataError

ImageId = Union[str, int]
Faults = List[Tuple[ImageId, str]]  # (image_id, reason)


class Annotation(NamedTuple):
    """The ground truth of one image, in pixels of the image on disk.

    image_id: a name or a number, unique within the dataset.
    width, height: the size of the image in pixels.
    boxes: (G, 4) float32, x1 y1 x2 y2.
    labels: (G,) int32, indices into the dataset's class_names.
    difficult: (G,) bool, whether an object is ignored in training and evaluation (VOC's difficult
        objects, COCO's crowds).
    areas: (G,) float32, the objects' areas in square pixels, by which COCO tells small objects from
        large ones; None if only the boxes are known.
    """

    image_id: ImageId
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    areas: Optional[np.ndarray] = None


class Field(Protocol):
    """The protocol of another property of the objects of an image, for example their keypoints.

    A field goes through the transforms together with the boxes and becomes an array of the Batch.
    Each method returns a new field. A field need not inherit from this class.
    """

    def take(self, rows: np.ndarray) -> "Field":
        """Returns the field of some of the objects; rows: (G,) bool."""

    def scale(self, x: float, y: float) -> "Field":
        """Returns the field after the image was resized by the factors x and y."""

    def mirror(self, axis: int, side: int) -> "Field":
        """Returns the field after the image was mirrored.

        axis: 0 exchanges top and bottom, 1 left and right.
        side: the image's size along the axis in pixels.
        """

    def array(self, slots: int) -> np.ndarray:
        """Returns the padded array (slots, ...) float32; slots is at least G."""


@runtime_checkable
class MovingField(Protocol):
    """The protocol of a Field that passes transforms which crop, turn, cover or mix images."""

    def warp(self, matrix: np.ndarray, size: Tuple[int, int]) -> "Field":
        """Returns the field after the image was moved and cut.

        matrix: (2, 3) float64, from x, y, 1 before to x, y after, in pixels.
        size: (width, height) of the image after, in pixels.
        """

    def cover(self, covered: np.ndarray) -> "Field":
        """Returns the field after some pixels of the image were covered; covered: (H, W) bool."""

    def join(self, other: Any) -> "Field":
        """Returns the field of the objects of this field and, after them, of another one."""


NO_FIELDS: Mapping[str, Field] = MappingProxyType({})


class Sample(NamedTuple):
    """One image with its objects; a transform turns one Sample into another.

    image: (H, W, 3) uint8 or float32, RGB in [0, 255].
    boxes, labels, difficult: as in Annotation, but in pixels of `image`.
    masks: (G, H, W) uint8 of 0 and 1, or None.
    proposals: (R, 4) float32 in pixels of `image`, the best first, or None.
    fields: {name: Field}.
    """

    image_id: ImageId
    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    masks: Optional[np.ndarray] = None
    proposals: Optional[np.ndarray] = None
    fields: Mapping[str, Field] = NO_FIELDS

    def move_boxes(self, move: Callable[[np.ndarray], np.ndarray]) -> "Sample":
        """Returns the Sample with the boxes of objects and proposals moved by ``move``.

        move: a function of boxes (N, 4) float32 that returns a new array (N, 4).
        """
        proposals = None if self.proposals is None else move(self.proposals)
        return self._replace(boxes=move(self.boxes), proposals=proposals)

    def take(self, rows: np.ndarray) -> "Sample":
        """Returns the Sample with some of its objects and all proposals; rows: (G,) bool."""
        return self._replace(
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            difficult=self.difficult[rows],
            masks=None if self.masks is None else self.masks[rows],
            fields={name: field.take(rows) for name, field in self.fields.items()},
        )

    def move_fields(self, move: Callable[[Field], Field]) -> "Sample":
        """Returns the Sample with every field replaced by the result of ``move``."""
        return self._replace(fields={name: move(field) for name, field in self.fields.items()})


def unlabelled(image: np.ndarray) -> Sample:
    """Returns the Sample of an image (H, W, 3) without objects."""
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool)
    return Sample("", image, *nothing)


class Batch(NamedTuple):
    """B samples padded to one shape, as numpy arrays.

    images: (B, 3, H, W) float32, RGB in [0, 255]; the padding at the right and bottom is 0.
    sizes: (B, 2) float32, height and width of each image without its padding.
    boxes: (B, G, 4) float32, padded with 0.
    labels: (B, G) float32, padded with -1; -2 for difficult objects, see MaxIoUAssigner.
    image_ids: the ids of the B images.
    scales: (B, 2) float32, x and y: size in the batch / size on disk.
    indices: the B indices into the dataset.
    number: the batch's number within its epoch.
    masks: (B, G, H, W) uint8 of 0 and 1, padded with 0; None if the samples have none.
    proposals: (B, R, 4) float32, padded with 0; None if the samples have none.
    proposal_scores: (B, R) float32, 1 for a proposal and -1 for padding; or None.
    fields: {name: (B, G, ...) float32} of the samples' fields.
    """

    images: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    image_ids: Tuple[ImageId, ...]
    scales: np.ndarray
    indices: Tuple[int, ...]
    number: int
    masks: Optional[np.ndarray] = None
    proposals: Optional[np.ndarray] = None
    proposal_scores: Optional[np.ndarray] = None
    fields: Mapping[str, np.ndarray] = MappingProxyType({})

    def array(self, name: str) -> np.ndarray:
        """Returns the field or the attribute of that name."""
        array: np.ndarray = self.fields[name] if name in self.fields else getattr(self, name)
        return array


class Dataset(Protocol):
    """The protocol of a dataset, which need not inherit from this class.

    class_names: the K names.
    dropped: (image_id, reason) of every box that the reader dropped.
    bad_images: (image_id, reason) of every image that the reader could not use; these images are
        not part of the dataset.
    """

    class_names: Tuple[str, ...]
    dropped: Faults
    bad_images: Faults

    def __len__(self) -> int:
        """Returns the number of images."""

    def annotation(self, index: int) -> Annotation:
        """Returns the ground truth of an image without decoding it."""

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB. Raises ImageError if it cannot be decoded."""

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns a mask for each box, (G, H, W) uint8 of 0 and 1; None for a dataset without."""


@runtime_checkable
class HasFields(Protocol):
    """The protocol of a dataset with fields, which a training step names among its INPUTS."""

    def field(self, name: str, index: int) -> Field:
        """Returns the field ``name`` of the objects of an image."""


def field_of(dataset: Dataset, name: str, index: int) -> Field:
    """Returns a field of the objects of an image. Raises DataError for a dataset without fields."""
    if not isinstance(dataset, HasFields):
        raise DataError(
            f"dataset {type(dataset).__name__}: expected the field {name!r}, on which this "
            "detector is trained, found no fields; use a dataset with a method `field`"
        )
    return dataset.field(name, index)


# A transform with a true attribute ``mixes`` is called with a third argument, a Draw.
Transform = Callable[..., Sample]
Draw = Callable[[], Sample]  # draws another image of the dataset, after the same transforms
Transforms = Sequence[Transform]

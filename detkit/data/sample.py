"""What passes from a dataset to the network: the three tuples and the dataset's protocol.

Everything that has ``class_names``, a length and the methods of :class:`Dataset` is a dataset;
nothing has to be inherited. :class:`Annotation` is what a reader knows of an image without
opening it, :class:`Sample` is one image on its way through the transforms, and :class:`Batch` is
what the network gets.
"""

from types import MappingProxyType
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np


class Annotation(NamedTuple):
    """The ground truth of one image, in pixels of the image as it lies on disk.

    image_id: unique within the dataset; a name, or the number that a COCO file gives.
    width, height: pixels.
    boxes: (G, 4) float32, x1 y1 x2 y2.
    labels: (G,) int32, indices into the dataset's class_names.
    difficult: (G,) bool, objects that are neither trained on nor counted for or against: VOC's
        difficult ones, COCO's crowds.
    areas: (G,) float32, the objects' own areas in pixels, by which COCO tells small from large
        ones; None where only the boxes are known.
    """

    image_id: Union[str, int]
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    areas: Optional[np.ndarray] = None


class Field:
    """The protocol of what a dataset says of its objects beside box, label and mask: their
    keypoints, say. A field need not inherit from it; each method returns a new one.

    It goes through the transforms with the boxes, and is an array of the Batch in the end.
    """

    def take(self, rows: np.ndarray) -> "Field":
        """The field of some of the objects; rows: (G,) bool."""
        raise NotImplementedError

    def scale(self, x: float, y: float) -> "Field":
        """After the image was resized by the factors x and y."""
        raise NotImplementedError

    def mirror(self, axis: int, side: int) -> "Field":
        """After the image was turned around along axis 0 (top and bottom) or 1 (left and right).

        side: of the image along the axis, pixels.
        """
        raise NotImplementedError

    def array(self, slots: int) -> np.ndarray:
        """(slots, ...) float32, padded; slots: at least the number of the objects."""
        raise NotImplementedError


NO_FIELDS: Mapping[str, Field] = MappingProxyType({})


class Sample(NamedTuple):
    """One image with its objects; transforms turn one Sample into another.

    image: (H, W, 3) uint8 or float32, RGB in 0..255.
    boxes, labels, difficult: as in Annotation, in pixels of `image`.
    masks: (G, H, W) uint8 of 0 and 1, or None.
    proposals: (R, 4) float32 in pixels of `image`, best first, or None.
    fields: {name: Field}.
    """

    image_id: Union[str, int]
    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    masks: Optional[np.ndarray] = None
    proposals: Optional[np.ndarray] = None
    fields: Mapping[str, Field] = NO_FIELDS

    def move_boxes(self, move: Callable[[np.ndarray], np.ndarray]) -> "Sample":
        """The Sample with every box, objects' and proposals', where ``move`` puts it.

        move: (N, 4) float32 -> (N, 4), a new array.
        """
        proposals = None if self.proposals is None else move(self.proposals)
        return self._replace(boxes=move(self.boxes), proposals=proposals)

    def move_fields(self, move: Callable[[Field], Field]) -> "Sample":
        """The Sample with every field as ``move`` returns it."""
        return self._replace(fields={name: move(field) for name, field in self.fields.items()})


def unlabelled(image: np.ndarray) -> Sample:
    """The Sample of an image (H, W, 3) of which nothing is known."""
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool)
    return Sample("", image, *nothing)


class Batch(NamedTuple):
    """B samples padded to one shape, as numpy arrays.

    images: (B, 3, H, W) float32, RGB in 0..255, 0 to the right of and below each image.
    sizes: (B, 2) float32, height and width of the part that is image.
    boxes: (B, G, 4) float32, padded with 0.
    labels: (B, G) float32, padded with -1; -2 for difficult objects, see MaxIoUAssigner.
    image_ids: those of the B images.
    scales: (B, 2) float32, x and y: size in the batch / size on disk.
    indices: B indices into the dataset.
    number: the batch's number within its epoch.
    masks: (B, G, H, W) uint8 of 0 and 1, padded with 0; None where the samples have none.
    proposals: (B, R, 4) float32, padded with 0; None where the samples have none.
    proposal_scores: (B, R) float32, 1 where there is a proposal and -1 for padding; or None.
    fields: {name: (B, G, ...) float32} of the samples' fields.
    """

    images: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    image_ids: Tuple[Union[str, int], ...]
    scales: np.ndarray
    indices: Tuple[int, ...]
    number: int
    masks: Optional[np.ndarray] = None
    proposals: Optional[np.ndarray] = None
    proposal_scores: Optional[np.ndarray] = None
    fields: Mapping[str, np.ndarray] = MappingProxyType({})

    def array(self, name: str) -> np.ndarray:
        """The array of that name, the batch's own or a field's."""
        return self.fields[name] if name in self.fields else getattr(self, name)


class Dataset:
    """The protocol, written down once; a dataset need not inherit from it.

    class_names: tuple of the K names.
    dropped: (image_id, reason) of every box the reader left out.
    bad_images: (image_id, reason) of every image found unusable when the dataset was read; they
        are not part of it.
    """

    class_names: Tuple[str, ...]
    dropped: List[Tuple[str, str]]
    bad_images: List[Tuple[str, str]]

    def __len__(self) -> int:
        """How many images there are."""
        raise NotImplementedError

    def annotation(self, index: int) -> Annotation:
        """The ground truth of an image, without decoding it."""
        raise NotImplementedError

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises ImageError when the image cannot be decoded."""
        raise NotImplementedError

    def masks(self, index: int) -> Optional[np.ndarray]:
        """(G, H, W) uint8 of 0 and 1, one for each box; None where the dataset has no masks."""
        raise NotImplementedError

    def field(self, name: str, index: int) -> Field:
        """The Field ``name`` of the objects of an image, for a training step that has the name
        among its INPUTS. A dataset without fields has no such method."""
        raise NotImplementedError


Transform = Callable[[Sample, np.random.Generator], Sample]
Transforms = Sequence[Transform]

"""What passes from a dataset to the network: the three tuples and the dataset's protocol.

Everything that has ``class_names``, a length and the methods of :class:`Dataset` is a dataset;
nothing has to be inherited. :class:`Annotation` is what a reader knows of an image without
opening it, :class:`Sample` is one image on its way through the transforms, and :class:`Batch` is
what the network gets.
"""

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np


class Annotation(NamedTuple):
    """The ground truth of one image, in pixels of the image as it lies on disk.

    image_id: unique within the dataset; a name, or the number that a COCO file gives.
    width, height: pixels.
    boxes: (G, 4) float32, x1 y1 x2 y2.
    labels: (G,) int32, indices into the dataset's class_names.
    difficult: (G,) bool, objects that are neither trained on nor counted for or against: VOC's
        difficult ones, COCO's crowds.
    """

    image_id: Union[str, int]
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray


class Sample(NamedTuple):
    """One image with its objects; transforms turn one Sample into another.

    image: (H, W, 3) uint8 or float32, RGB in 0..255.
    boxes, labels, difficult: as in Annotation, in pixels of `image`.
    masks: (G, H, W) uint8 of 0 and 1, or None.
    proposals: (R, 4) float32 in pixels of `image`, best first, or None.
    """

    image_id: Union[str, int]
    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    masks: Optional[np.ndarray] = None
    proposals: Optional[np.ndarray] = None

    def move_boxes(self, move: Callable[[np.ndarray], np.ndarray]) -> "Sample":
        """The Sample with every box, objects' and proposals', where ``move`` puts it.

        move: (N, 4) float32 -> (N, 4), a new array.
        """
        proposals = None if self.proposals is None else move(self.proposals)
        return self._replace(boxes=move(self.boxes), proposals=proposals)


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


Transform = Callable[[Sample, np.random.Generator], Sample]
Transforms = Sequence[Transform]

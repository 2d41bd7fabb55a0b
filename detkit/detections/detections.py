"""The detections of one image.

MXNet and pycocotools are imported within functions: code that only reads or draws boxes should
neither need them nor wait for them.
"""

from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from detkit.keypoints import decode

if TYPE_CHECKING:
    from detkit.data.sample import Batch
    from detkit.segmentations import RLE


MASKS = 3  # axes of the masks (D, M, M) of an image; heatmaps (D, J, M, M) have one more


class Detections(NamedTuple):
    """The n objects that a detector found in one image, the best first.

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
        pasted = np.zeros((len(self.boxes), *self._size()), np.float32)
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
        from detkit.ops import paste_masks

        return paste_masks(np.asarray(self.mask_probs)[rows], self.boxes[rows], *self._size())

    def _size(self) -> Tuple[int, int]:
        if not self.has_masks or self.image_size is None:
            raise ValueError("expected detections with masks and an image_size, found none")
        return self.image_size


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
            found = found._replace(mask_probs=more[0][real], image_size=image_size)
        elif more:
            keypoints = decode(more[0][real], boxes[real], size)
            keypoints[..., :2] /= scale
            found = found._replace(keypoints=keypoints, skeleton=skeleton)
        detections.append(found)
    return detections

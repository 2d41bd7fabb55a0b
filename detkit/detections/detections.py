"""What a detector says about one image."""

from typing import TYPE_CHECKING, NamedTuple, Optional, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    from detkit.segmentations import RLE

# What only reads or draws boxes should wait neither for MXNet nor for pycocotools, nor need them:
# hence the imports within functions.


class Detections(NamedTuple):
    """The objects found in one image, best first.

    boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the image as it was given.
    scores: (n,) float32 in [0, 1].
    labels: (n,) int32, indices into class_names.
    class_names: the K names the detector was trained with.
    mask_probs: (n, M, M) float32, the probability of the object in each cell of its box; None from
        a detector without masks.
    image_size: (height, width) in pixels of the image that the masks belong to.
    rles: the n masks as COCO writes them, where they were read from a file.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]
    mask_probs: Optional[np.ndarray] = None
    image_size: Optional[Tuple[int, int]] = None
    rles: Optional[Sequence["RLE"]] = None

    @property
    def has_masks(self) -> bool:
        """Whether there is a mask for each box."""
        return self.mask_probs is not None or self.rles is not None

    @property
    def masks(self) -> Optional[np.ndarray]:
        """(n, H, W) float32 probabilities, pasted into the image anew each time; None without."""
        if not self.has_masks:
            return None
        pasted = np.zeros((len(self.boxes), *self.image_size), np.float32)
        for index in range(len(pasted)):
            pasted[index] = self.mask(index)
        return pasted

    def mask(self, index: int) -> np.ndarray:
        """(H, W) float32: one of ``masks``, without the memory of the others."""
        if self.rles is not None:
            from detkit.segmentations import decode

            return decode(self.rles[index], *self.image_size).astype(np.float32)
        import mxnet as mx

        from detkit.ops import mask_paste

        one = (mx.nd.array(array[index : index + 1]) for array in (self.mask_probs, self.boxes))
        return mask_paste(mx.nd, *one, *self.image_size)[0].asnumpy()

    def rle(self, index: int) -> "RLE":
        """The pixels of a mask whose probability reaches masks.THRESHOLD, as COCO writes them."""
        if self.rles is not None:
            return self.rles[index]
        from detkit.segmentations import THRESHOLD, encode

        return encode(self.mask(index) >= THRESHOLD)


def detections_of(batch, outputs, class_names, first_label=0):
    """One Detections for each image of a Batch, boxes in pixels of the image on disk.

    outputs: the network's, as numpy arrays: boxes (B, D, 4) in pixels of the batch, scores (B, D),
        labels (B, D), rows without a detection with score -1; from a detector with masks also their
        probabilities (B, D, M, M).
    first_label: the place in class_names of the network's label 0.
    """
    found = []
    for size, scale, boxes, scores, labels, *masks in zip(batch.sizes, batch.scales, *outputs):
        real = scores >= 0
        image_size = tuple(np.rint(size / scale[::-1]).astype(int).tolist())
        found.append(
            Detections(
                boxes=boxes[real] / np.tile(scale, 2),
                scores=scores[real],
                labels=labels[real].astype("int32") + first_label,
                class_names=class_names,
                mask_probs=masks[0][real] if masks else None,
                image_size=image_size if masks else None,
            )
        )
    return found

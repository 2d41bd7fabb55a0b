"""Instance masks: cropped and resized for training, pasted into the image for a result."""

import mxnet as mx
import numpy as np

from detkit.ops import backend, fallback
from detkit.ops.checks import require_floats
from detkit.typing import Namespace, Tensor


def mask_target(F: Namespace, masks: Tensor, rois: Tensor, index: Tensor, size: int) -> Tensor:
    """Returns the object's mask under each RoI: (B, R, size, size), the share of each cell.

    The values are those of RoIAlign of the mask, with as many samples as cover a cell (He et al.
    2017, section 3; Detectron2's crop_and_resize before its threshold).

    masks: (B, G, H, W) uint8, 0 or 1.
    rois: (B, R, 4) in pixels of the masks.
    index: (B, R) int32, the object of each RoI. The result is 0 for an index outside [0, G - 1].
    """
    require_floats("mask_target", rois=rois)
    if not backend.native():
        return fallback.mask_target(F, masks, rois, index, size)
    return F.detkit_mask_target(masks, rois, index, size=size)


def mask_paste(
    F: Namespace, probabilities: Tensor, boxes: Tensor, height: int, width: int
) -> Tensor:
    """Returns masks (N, M, M) pasted over their boxes (N, 4) into images: (N, height, width).

    The result is torchvision's: box and mask are padded by one cell, the box is truncated to whole
    pixels, and the mask is resized to it bilinearly. Pixels outside of the box are 0.
    """
    require_floats("mask_paste", probabilities=probabilities, boxes=boxes)
    if not backend.native():
        return fallback.mask_paste(F, probabilities, boxes, height, width)
    return F.detkit_mask_paste(probabilities, boxes, height=height, width=width)


def paste_masks(
    probabilities: np.ndarray, boxes: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Returns the result of mask_paste as a numpy array, computed on the CPU.

    The operators write into that array. A copy of many large masks would take longer than they do.
    """
    pasted = np.empty((len(boxes), height, width), np.float32)
    cells, corners = (mx.nd.array(array, ctx=mx.cpu()) for array in (probabilities, boxes))
    if not backend.native():
        for index in range(len(boxes)):  # the fallback's memory is a multiple of its result
            one = slice(index, index + 1)
            mask = fallback.mask_paste(mx.nd, cells[one], corners[one], height, width)
            pasted[one] = mask.asnumpy()
    elif pasted.size:
        shared = mx.nd.from_numpy(pasted)
        mx.nd.detkit_mask_paste(cells, corners, height=height, width=width, out=shared)
        shared.wait_to_read()
        pasted.flags.writeable = True  # from_numpy forbids it
    return pasted

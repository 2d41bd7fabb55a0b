"""Instance masks: cut out and resized for training, pasted into the image for a result."""

from detkit.ops import backend, fallback


def mask_target(F, masks, rois, index, size):
    """The object's mask under each RoI: (B, R, size, size), the share of each cell it covers.

    masks (B, G, H, W) uint8, 0 or 1; rois (B, R, 4) in pixels of the masks; index (B, R) int32, the
    object of each RoI; zeros where it is not one of 0..G-1. As RoIAlign of the mask, with as many
    samples as cover the cell (He et al. 2017, section 3; Detectron2's crop_and_resize before its
    threshold).
    """
    if not backend.native():
        return fallback.mask_target(F, masks, rois, index, size)
    return F.detkit_mask_target(masks, rois, index, size=size)


def mask_paste(F, probabilities, boxes, height, width):
    """Masks (N, M, M) pasted over their boxes (N, 4) into images: (N, height, width).

    As torchvision pastes: box and mask grow by one cell, the box is cut to whole pixels, the mask
    is resized bilinearly to it; 0 outside.
    """
    if not backend.native():
        return fallback.mask_paste(F, probabilities, boxes, height, width)
    return F.detkit_mask_paste(probabilities, boxes, height=height, width=width)

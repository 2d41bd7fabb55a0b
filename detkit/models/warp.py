"""The RoI extractor of R-CNN: regions of the image, warped to the size of a network's input."""

from typing import Any, Sequence

from detkit import boxes, ops
from detkit.models.roi_extractors import RoIExtractor
from detkit.registry import ROI_EXTRACTORS
from detkit.typing import Namespace, Tensor


@ROI_EXTRACTORS.register()
class Warp(RoIExtractor):
    """One bilinear sample for each pixel of a square that shows a region and its surroundings.

    This is the anisotropic warp with context of Girshick et al. 2014, appendix A. A region is first
    enlarged about its centre by S / (S - 2p), so that it covers the square but for a border of
    p = ``context`` pixels. Outside of the map everything is 0, which is the mean of the images
    after the normalisation. R-CNN's code (rcnn_im_crop.m) rounds the enlarged region to whole
    pixels and makes it a pixel longer; here it is exact.

    strides, channels: derived; of one map, which for an RCNN is the image itself.
    size: S, the side of the square in pixels.
    context: p in pixels of the square, at least 0 and below S / 2.
    """

    def __init__(
        self, strides: Sequence[int], channels: int, size: int = 227, context: int = 16
    ) -> None:
        super().__init__(strides, channels, size=size)
        if len(strides) != 1:
            raise ValueError(
                f"Warp: expected one map to take the regions from, found {len(strides)}; use it "
                "in an RCNN"
            )
        if not 0 <= 2 * context < size:
            raise ValueError(
                f"context: expected at least 0 and less than half of size {size}, found {context}"
            )
        self._enlarged_by = size / (size - 2 * context)

    def pool(self, F: Namespace, features: Any, rois: Tensor, **levels: Any) -> Tensor:
        """Returns the squares (B * R, C, S, S) by ops.roi_align, from maps with a border of 0."""
        bordered = F.pad(features, mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
        x, y, w, h = boxes.centre_size(F, rois)
        half_w, half_h = (side * (self._enlarged_by / 2) for side in (w, h))
        enlarged = F.concat(x - half_w, y - half_h, x + half_w, y + half_h, dim=-1)
        moved = enlarged + levels["stride"]  # the border is one cell wide
        return ops.roi_align(F, bordered, moved, self.size, sampling=1, aligned=True, **levels)

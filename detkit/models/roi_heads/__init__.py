"""RoI heads: features of a RoI -> class logits and box deltas. One file for each design."""

from detkit.models.roi_heads.conv_fc import ConvFCHead
from detkit.models.roi_heads.fc import FCHead
from detkit.models.roi_heads.mask import MaskHead

__all__ = ["ConvFCHead", "FCHead", "MaskHead"]

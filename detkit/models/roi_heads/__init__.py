"""RoI heads: features of a RoI -> class logits and box deltas. One file for each design."""

from detkit.models.roi_heads.fc import FCHead

__all__ = ["FCHead"]

"""Necks: the backbone's feature maps -> those the heads look at."""

from detkit.models.necks.fpn import FPN

__all__ = ["FPN"]

"""Necks: the backbone's feature maps -> those the heads look at."""

from detkit.models.necks.fpn import FPN
from detkit.models.necks.pafpn import PAFPN

__all__ = ["FPN", "PAFPN"]

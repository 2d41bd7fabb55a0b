"""Necks: the maps of the backbone -> the maps that the heads take."""

from detkit.models.necks.fpn import FPN
from detkit.models.necks.pafpn import PAFPN

__all__ = ["FPN", "PAFPN"]

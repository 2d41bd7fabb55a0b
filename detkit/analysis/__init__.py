"""Figures about detections against the truth: plain numbers, which a report then draws."""

from detkit.analysis.bootstrap import differences
from detkit.analysis.summary import summarise

__all__ = ["differences", "summarise"]

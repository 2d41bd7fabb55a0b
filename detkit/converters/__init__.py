"""Converters: trained detectors of other frameworks, rebuilt from detkit's parts."""

from detkit.converters.detectron2 import from_detectron2
from detkit.converters.gluoncv import from_gluoncv
from detkit.converters.torchvision import from_torchvision

__all__ = ["from_detectron2", "from_gluoncv", "from_torchvision"]

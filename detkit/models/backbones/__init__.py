"""Backbones: images -> features. Each declares ``channels`` and ``stride`` of what it returns.

A backbone that names its children as torchvision does loads torchvision's files as they are.
"""

from detkit.models.backbones.vgg import VGG

__all__ = ["VGG"]

"""Transforms for training alone: they cut, turn, cover, spoil and mix images."""

from detkit.data.augment.affine import Affine
from detkit.data.augment.copy_paste import CopyPaste
from detkit.data.augment.crop import AspectCrop, Expand, RandomCrop
from detkit.data.augment.cutout import Cutout
from detkit.data.augment.mix_up import MixUp
from detkit.data.augment.mosaic import Mosaic
from detkit.data.augment.quality import JPEG, Blur, Greyscale, Noise
from detkit.data.augment.scale_jitter import ScaleJitter

__all__ = [
    "JPEG",
    "Affine",
    "AspectCrop",
    "Blur",
    "CopyPaste",
    "Cutout",
    "Expand",
    "Greyscale",
    "MixUp",
    "Mosaic",
    "Noise",
    "RandomCrop",
    "ScaleJitter",
]

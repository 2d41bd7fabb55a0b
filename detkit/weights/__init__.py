"""Files of weights: they are found, read without their framework, and loaded into a block."""

import importlib
from typing import Any

from detkit.files.params import read_params
from detkit.weights.caffe2 import CAFFE2_ORDER, from_caffe2, is_caffe2
from detkit.weights.load import load_weights, read_weights
from detkit.weights.pkl import read_pkl
from detkit.weights.pth import read_pth
from detkit.weights.published import (
    PUBLISHED,
    Normalisation,
    Published,
    find_weights,
    normalisation_of,
)
from detkit.weights.safetensors import read_safetensors

__all__ = [
    "CAFFE2_ORDER",
    "PUBLISHED",
    "Normalisation",
    "Published",
    "find_weights",
    "from_caffe2",
    "from_detectron2",
    "from_gluoncv",
    "from_torchvision",
    "is_caffe2",
    "load_weights",
    "normalisation_of",
    "read_params",
    "read_pkl",
    "read_pth",
    "read_safetensors",
    "read_weights",
]

_CONVERTERS = ("from_detectron2", "from_gluoncv", "from_torchvision")


def __getattr__(name: str) -> Any:
    # The converters live in detkit.converters, which imports this package: the import comes late.
    if name in _CONVERTERS:
        return getattr(importlib.import_module("detkit.converters"), name)
    raise AttributeError(f"module 'detkit.weights' has no attribute {name!r}")

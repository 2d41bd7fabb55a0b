"""Other frameworks' weights -> ours: find the file, read it, put its arrays into a block."""

from detkit.weights.load import load_weights
from detkit.weights.pth import read_pth
from detkit.weights.published import (
    PUBLISHED,
    Normalisation,
    Published,
    find_weights,
    normalisation_of,
)

__all__ = [
    "PUBLISHED",
    "Normalisation",
    "Published",
    "find_weights",
    "load_weights",
    "normalisation_of",
    "read_pth",
]

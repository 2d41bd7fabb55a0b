"""Groups of near duplicates: pictures that are the same but for their size, file format or light.

Frames of one video, an upload that was saved again, or the augmented copies of an export are near
duplicates. If they lie in several splits, a detector is judged on what it was trained on.

A picture is known by its gradients (Krawetz 2013, "Kind of Like That", the difference hash):
whether each cell of a small grid is darker than its neighbours on the right and below. Copies of
photographs that were saved as JPEG of quality 50, halved in size or made 15 % brighter differ in at
most 8 % of the bits, and unrelated photographs in at least 34 % (BCCD and Penn-Fudan).
"""

import hashlib
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import cv2
import numpy as np

from detkit.data.images import MAX_PIXELS, decode_small
from detkit.errors import ImageError

SIDE = 16  # cells of the grid
BITS = 2 * SIDE * SIDE
MOST_DIFFERENT = 60  # of the BITS of near duplicates
_BLOCK = 512  # pictures that are compared with all others at once


class Fingerprint(NamedTuple):
    """The digest and the gradients by which a picture is compared.

    sha256: the digest of the file; two files with the same one are exact duplicates.
    gradients: (BITS,) bool.
    """

    sha256: str
    gradients: np.ndarray


def fingerprint(path: Union[str, Path], max_pixels: int = MAX_PIXELS) -> Optional[Fingerprint]:
    """Returns the Fingerprint of an image file; None if it cannot be read or decoded."""
    try:
        data = Path(path).read_bytes()
        image = decode_small(data, path, max_pixels)
    except (OSError, ImageError):
        return None
    return Fingerprint(hashlib.sha256(data).hexdigest(), gradients(image))


def gradients(image: np.ndarray) -> np.ndarray:
    """Returns the bits (BITS,) bool of a picture (H, W, 3) uint8 RGB."""
    # Grey first: a pixel of the grid is then the mean of its area, of which single bits say little.
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grid = cv2.resize(grey, (SIDE + 1, SIDE + 1), interpolation=cv2.INTER_AREA)
    corner = grid[:-1, :-1]
    return np.concatenate([(grid[:-1, 1:] > corner).ravel(), (grid[1:, :-1] > corner).ravel()])


def near_duplicates(
    fingerprints: Sequence[Optional[Fingerprint]], most_different: int = MOST_DIFFERENT
) -> List[List[int]]:
    """Returns the groups of near duplicates, as sorted indices, in the order of their first one.

    fingerprints: of the pictures; None, of an unreadable one, is a group of its own.
    most_different: the number of bits in which two near duplicates differ at most.

    Each index is in one group. A is in the group of C if both are near duplicates of B. All pairs
    are compared, in blocks: 20,000 pictures take some seconds and 0.1 GB.
    """
    groups = np.arange(len(fingerprints))  # the smallest index of each one's group
    known = np.array([i for i, each in enumerate(fingerprints) if each is not None], int)
    bits = np.array([each.gradients for each in fingerprints if each is not None], np.float32)
    signs = 2 * bits.reshape(-1, BITS) - 1
    # The product of two rows of signs is the number of equal bits minus that of different ones,
    # a whole number that float32 holds exactly.
    least = BITS - 2 * most_different
    for start in range(0, len(known), _BLOCK):
        near = signs[start : start + _BLOCK] @ signs[start:].T >= least
        for row in np.flatnonzero(near.sum(axis=1) > 1):  # near to others than itself
            joined = np.unique(groups[known[start:][near[row]]])
            if len(joined) > 1:
                groups[np.isin(groups, joined)] = joined[0]
    members: Dict[int, List[int]] = {}
    for index, first in enumerate(groups.tolist()):
        members.setdefault(first, []).append(index)
    return list(members.values())

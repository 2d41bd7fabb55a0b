"""The image files of a dataset: whether each can be decoded, its size, and what it shows."""

import hashlib
import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from detkit.data.faults.fault import Splits
from detkit.data.images import MAX_PIXELS, decode_small, image_size
from detkit.data.near_duplicates import Fingerprint, gradients
from detkit.data.workers import in_order
from detkit.data.writers.entries import HasFiles
from detkit.errors import ImageError

Key = Tuple[str, int]  # (split, index)


class Picture(NamedTuple):
    """An image file.

    size: (width, height) as it is decoded; None if it cannot be.
    fingerprint: by which it is compared; None if it was not decoded.
    fault: the reason why it cannot be decoded, "PATH: ...", or None.
    """

    path: Path
    size: Optional[Tuple[int, int]]
    fingerprint: Optional[Fingerprint] = None
    fault: Optional[str] = None


def look_at(splits: Splits, decode: bool) -> Dict[Key, Picture]:
    """Returns {(split, index): Picture} of the datasets whose images are files.

    decode: whether the images are decoded and fingerprinted; otherwise their headers are read.
    """
    keys: List[Key] = []
    paths: List[Path] = []
    for split, dataset in splits.items():
        if isinstance(dataset, HasFiles):
            keys += [(split, index) for index in range(len(dataset))]
            paths += map(dataset.image_path, range(len(dataset)))
    threads = os.cpu_count() or 1 if decode else 0
    look = _decoded if decode else _header
    return dict(zip(keys, in_order(look, paths, threads, "detkit-check")))


def exact_copies(pictures: Dict[Key, Picture]) -> Iterator[List[Key]]:
    """Yields the groups of images whose files are the same, byte by byte."""
    by_size: Dict[int, List[Key]] = {}
    for key, picture in pictures.items():
        by_size.setdefault(picture.path.stat().st_size, []).append(key)
    for keys in by_size.values():
        by_digest: Dict[str, List[Key]] = {}
        for key in keys if len(keys) > 1 else ():
            by_digest.setdefault(_digest(pictures[key]), []).append(key)
        yield from (group for group in by_digest.values() if len(group) > 1)


def _digest(picture: Picture) -> str:
    if picture.fingerprint is not None:
        return picture.fingerprint.sha256
    return hashlib.sha256(picture.path.read_bytes()).hexdigest()


def _header(path: Path) -> Picture:
    try:
        return Picture(path, image_size(path, MAX_PIXELS))
    except ImageError as error:
        return Picture(path, None, fault=str(error))


def _decoded(path: Path) -> Picture:
    try:
        size = image_size(path, MAX_PIXELS)
        data = path.read_bytes()
        bits = gradients(decode_small(data, path, MAX_PIXELS))
    except (OSError, ImageError) as error:
        return Picture(path, None, fault=str(error))
    return Picture(path, size, Fingerprint(hashlib.sha256(data).hexdigest(), bits))

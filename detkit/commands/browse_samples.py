"""The images of ``detkit browse``: which are chosen, and how they are read and transformed."""

import functools
import sys
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from detkit.data.loader import draw_other
from detkit.data.pictures import sample_with_all
from detkit.data.sample import Dataset, Faults, Sample, Transforms
from detkit.data.transforms import apply
from detkit.errors import ImageError


def choose(length: int, count: int, seed: Optional[int]) -> List[int]:
    """Returns the indices of the first images, or, with a seed, of random ones in their order."""
    if seed is None:
        return list(range(min(count, length)))
    chosen = np.random.default_rng(seed).permutation(length)[:count]
    return sorted(chosen.tolist())


def samples_of(
    dataset: Dataset, chosen: Sequence[int], transforms: Transforms, seed: int
) -> Iterator[Tuple[int, Sample]]:
    """Yields (number, Sample) of the images that can be read, and says which cannot.

    chosen: the indices of the images. The number is the place in it, from 1 on. seed: that of the
    config; the transforms draw as in the first epoch of a training.
    """
    dropped: Faults = []
    for number, index in enumerate(tqdm(chosen, unit=" images", disable=None), 1):
        sample = _read(dataset, dropped, index)
        if sample is None:
            continue
        # The generator of the image in the first epoch of a training, see Loader.
        rng = np.random.default_rng([seed, 0, index])
        reader = functools.partial(_read, dataset, dropped)
        other = functools.partial(draw_other, reader, np.arange(len(dataset)), rng, sample)
        yield number, apply(transforms, sample, rng, other)


def _read(dataset: Dataset, dropped: Faults, index: int) -> Optional[Sample]:
    """Returns an image before the transforms, or None and a message for one that is damaged."""
    try:
        return sample_with_all(dataset, index, dropped)
    except ImageError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return None

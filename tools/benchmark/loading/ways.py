"""The ways to load the same batches: threads, caches, reduced decoding; compared, then timed."""

import hashlib
import time
from itertools import islice
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from benchmark.errors import BenchmarkError
from detkit.build.data import build_cache, build_loader
from detkit.build.sections import open_config
from detkit.config import Config
from detkit.data.loader import Loader
from detkit.data.sample import Batch, Dataset

PLAIN = "one thread"
REDUCED = "reduced decoding"


class Way(NamedTuple):
    """A way to load: its name, what it changes in the config, whether its pixels are the same."""

    name: str
    overrides: Sequence[str]
    exact: bool


class Rate(NamedTuple):
    """Images a second by the clock, and milliseconds of processor time for an image."""

    images: float
    milliseconds: float


def ways_of(workers: int, folder: str) -> List[Way]:
    """Returns the ways; folder: that of the cache on disk."""
    limit = "limit_mb: 8000"
    return [
        Way(PLAIN, (), True),
        Way(f"{workers} threads", (f"data.workers={workers}",), True),
        Way("cache in memory", (f"data.cache={{type: memory, {limit}}}",), True),
        Way("cache on disk", (f"data.cache={{type: disk, folder: {folder}, {limit}}}",), True),
        Way(REDUCED, ("data.reduced_decoding=true",), False),
    ]


def loader_of(
    way: Way, path: str, overrides: Sequence[str], inputs: Sequence[str], dataset: Dataset
) -> Loader:
    """Returns the Loader of a training that loads in this way."""
    plain = ("data.workers=0", "data.cache=null", "data.reduced_decoding=false")
    config: Config = open_config(path, [*overrides, *plain, *way.overrides])
    size: int = config["train"]["batch_size"]
    return build_loader(config, "train", dataset, size, inputs, cache=build_cache(config))


def check(loaders: Dict[str, Loader], ways: Sequence[Way], most: int) -> float:
    """Returns the mean change of a pixel by reduced decoding; fills the caches.

    Raises BenchmarkError if another way loads other batches than one thread does.
    """
    expected = [_digest(batch) for batch in _first(loaders[PLAIN], most)]
    for way in ways:
        if way.exact:
            for _ in range(2):  # the second time from the cache
                found = [_digest(batch) for batch in _first(loaders[way.name], most)]
                if found != expected:
                    raise BenchmarkError(
                        f"{way.name}: expected the batches of {PLAIN}, found other ones"
                    )
    pairs = zip(_first(loaders[PLAIN], most), _first(loaders[REDUCED], most))
    changes = [
        np.abs(one.images - other.images).mean()
        for one, other in pairs
        if one.images.shape == other.images.shape
    ]
    return float(np.mean(changes)) if changes else float("nan")


def measure(loader: Loader, most: int, times: int) -> Rate:
    """Returns the best rate of several passes over the first batches."""
    rates = []
    for _ in range(times):
        began, used = time.perf_counter(), time.process_time()
        images = sum(len(batch.images) for batch in _first(loader, most))
        seconds, used = time.perf_counter() - began, time.process_time() - used
        rates.append(Rate(images / seconds, 1000 * used / images))
    return max(rates)


def _first(loader: Loader, most: Optional[int]) -> Iterator[Batch]:
    return islice(loader.batches(0), most)


def _digest(batch: Any) -> str:
    digest = hashlib.sha256(repr(batch.image_ids).encode())
    for name in ("images", "sizes", "boxes", "labels", "scales"):
        digest.update(np.ascontiguousarray(batch.array(name)).tobytes())
    return digest.hexdigest()

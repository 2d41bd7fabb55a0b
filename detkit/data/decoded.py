"""The decoded images of a dataset: smaller if the first transform allows it, and from a cache."""

import functools
from typing import Any, Callable, NamedTuple, Optional, Set, Tuple

import numpy as np

from detkit.data.caches import ImageCache
from detkit.data.images import REDUCTIONS
from detkit.data.sample import Dataset, Transforms
from detkit.errors import DataError


class Decoded(NamedTuple):
    """A decoded image and its size in the file.

    image: (H, W, 3) uint8 RGB. factor: the number of the file's pixels along each side of a pixel.
    size: (height, width) of the image in the file, with its orientation.
    """

    image: np.ndarray
    factor: int
    size: Tuple[int, int]

    @property
    def in_full(self) -> np.ndarray:
        """The image, or, if it is smaller than in the file, a black one of the file's size."""
        # It takes no memory: all its pixels are one.
        return self.image if self.factor == 1 else np.broadcast_to(np.uint8(0), (*self.size, 3))


class Images:
    """The images of a dataset, decoded as small as the first transform allows.

    dataset: the Dataset. It may have a method ``reduced_image``, as detkit's readers have, and one
        made of other datasets a method ``source``; both are optional.
    transforms: those of a Loader. If the first one has a method ``largest_scale``, a JPEG of which
        at most a half, a quarter or an eighth of each side is left is decoded in this size. Without
        such a transform, all images are decoded in full.
    cache: the ImageCache that keeps the images, or None.

    The pixels differ a little from those of an image that is decoded in full and shrunk by the
    transform, because libjpeg takes means where OpenCV's bilinear filter skips pixels.

    Raises DataError for a cache that needs files and a dataset that has none.
    """

    def __init__(
        self,
        dataset: Dataset,
        transforms: Transforms = (),
        cache: Optional[ImageCache] = None,
    ) -> None:
        self._dataset, self._cache = dataset, cache
        if cache is not None and cache.needs_files:
            _require_files(dataset)
        self._whole: Set[int] = set()  # the images that were not decoded smaller
        first = transforms[0] if transforms else None
        self._scale: Optional[Callable[[int, int], float]] = getattr(first, "largest_scale", None)

    def read(self, index: int) -> Decoded:
        """Returns an image. Raises ImageError if it cannot be decoded. It runs in any thread."""
        source, number = source_of(self._dataset, index)
        factor, size = self._plan(index)
        if factor > 1 and index not in self._whole and offers(source, "reduced_image"):
            smaller = functools.partial(source.reduced_image, number, factor)
            image = self._cached(source, number, factor, smaller)
            if image is not None:
                return Decoded(image, factor, size)
            self._whole.add(index)
        image = self._cached(source, number, 1, functools.partial(source.image, number))
        assert image is not None  # Dataset.image raises an error instead
        return Decoded(image, 1, (image.shape[0], image.shape[1]))

    def _cached(
        self, source: Any, number: int, factor: int, decode: Callable[[], Optional[np.ndarray]]
    ) -> Optional[np.ndarray]:
        if self._cache is None:
            return decode()
        return self._cache.image(source, number, factor, decode)

    def _plan(self, index: int) -> Tuple[int, Tuple[int, int]]:
        """Returns the factor by which an image may be smaller, and its (height, width)."""
        annotation = self._dataset.annotation(index)
        height, width = annotation.height, annotation.width
        if self._scale is None or min(height, width) < 1:
            return 1, (height, width)
        scale = self._scale(height, width)
        factors = (factor for factor in REDUCTIONS if factor * scale <= 1)
        return next(factors, 1), (height, width)


def _require_files(dataset: Dataset) -> None:
    sources = {type(each): each for each, _ in (source_of(dataset, n) for n in range(len(dataset)))}
    for kind, source in sources.items():
        if not offers(source, "image_path"):
            raise DataError(
                f"data.cache: expected a dataset whose images are files, by which a cache on disk "
                f"knows them, found {kind.__name__}; use {{type: memory}}"
            )


def source_of(dataset: Dataset, index: int) -> Tuple[Any, int]:
    """Returns the dataset that has an image of a dataset made of others, and its index there."""
    source: Any = dataset
    while offers(source, "source"):
        source, index = source.source(index)
    return source, index


def offers(dataset: Any, name: str) -> bool:
    """Returns whether a dataset has the optional method ``name`` for the images that it returns.

    A class that overrides ``image`` of a class above it, for example to brighten the pixels, has
    other images than the methods that it inherits know of.
    """
    classes = type(dataset).__mro__
    owners = [
        next((place for place, each in enumerate(classes) if method in vars(each)), len(classes))
        for method in (name, "image")
    ]
    return owners[0] <= owners[1] and hasattr(dataset, name)

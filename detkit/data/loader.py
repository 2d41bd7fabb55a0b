"""Loads the batches of an epoch, in the same order and with the same pixels every time.

The order and the augmentations depend on (seed, epoch, index) alone. A run can therefore resume at
any batch, and loading in threads gives the same bits as loading in the caller's thread.
"""

import contextlib
import functools
import logging
import re
from types import MappingProxyType
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from detkit.data.annotated import sample_of, shrunk
from detkit.data.batch import group_by_aspect, make_batch
from detkit.data.caches import ImageCache
from detkit.data.decoded import Images
from detkit.data.proposed import with_proposals
from detkit.data.sample import (
    Batch,
    Dataset,
    Faults,
    ImageId,
    Sample,
    Transforms,
    field_of,
)
from detkit.data.transforms import apply
from detkit.data.workers import in_order
from detkit.errors import DataError, DetkitError, ImageError

log = logging.getLogger(__name__)

LISTED_BAD_IMAGES = 100
DRAWS = 10  # the most images that are tried for one that a transform mixes in
NO_IMAGES: Mapping[int, str] = MappingProxyType({})


class Loaded(NamedTuple):
    """One loaded batch: None if no image could be read, skipped images, dropped boxes."""

    batch: Optional[Batch]
    skipped: Faults
    dropped: Faults


def draw_other(
    read: Callable[[int], Optional[Sample]],
    indices: np.ndarray,
    rng: np.random.Generator,
    sample: Sample,
) -> Sample:
    """Returns another image before the transforms, or ``sample`` if DRAWS images are bad.

    read: returns the image of an index, or None for a bad one. indices: those of all images.
    """
    for _ in range(DRAWS):
        other = read(int(rng.choice(indices)))
        if other is not None:
            return other
    return sample


class Loader:
    """Loads, transforms and pads the images of a dataset.

    dataset: see detkit.data.sample.Dataset.
    transforms: the transforms of every image, in their order.
    batch_size: B; the last batches of an epoch may be smaller, and so is a batch with a bad image.
    seed: (seed, epoch) fixes the order, (seed, epoch, index) the augmentations of an image.
    shuffle: whether each epoch has its own order; otherwise it is the dataset's.
    pad_multiple: see make_batch.
    workers: the number of threads; 0 loads in the caller's thread.
    group_aspect: whether a batch holds only landscapes or only portraits.
    masks: whether the batches hold the objects' masks. Transforms that need masks get them anyway.
    proposals: {image_id: boxes (R, 4)} of every image for the batches, or None.
    fields: the names of the dataset's fields that the batches hold.
    left_out: {index: reason} of images that are not loaded.
    reduced_decoding: whether a JPEG is decoded in a half, a quarter or an eighth of its size if the
        first transform shrinks it at least as much; see Images.
    cache: keeps the decoded images between epochs; None decodes them anew.
    bad_images: the share of the images that may be unusable, in percent; one image always may,
        unless the share is 0%.
    batched: makes a Batch, or what stands in its place, of the arguments of make_batch.

    skipped: {image_id: reason} of the images that could not be decoded so far.
    dropped: (image_id, reason) of boxes and proposals that lie outside the decoded image.

    Raises ValueError for a number that is too small.
    """

    def __init__(
        self,
        dataset: Dataset,
        transforms: Transforms,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        pad_multiple: int = 32,
        workers: int = 0,
        group_aspect: bool = True,
        masks: bool = False,
        proposals: Optional[Dict[Any, np.ndarray]] = None,
        fields: Sequence[str] = (),
        left_out: Mapping[int, str] = NO_IMAGES,
        bad_images: str = "1%",
        batched: Callable[..., Any] = make_batch,
        reduced_decoding: bool = False,
        cache: Optional[ImageCache] = None,
    ) -> None:
        _require_least("batch_size", batch_size, 1)
        _require_least("seed", seed, 0)
        _require_least("pad_multiple", pad_multiple, 1)
        _require_least("workers", workers, 0)
        self.dataset, self.transforms = dataset, tuple(transforms)
        self._images = Images(dataset, self.transforms if reduced_decoding else (), cache)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle, self.pad_multiple = shuffle, pad_multiple
        self.workers = workers
        self.masks, self.proposals = masks, proposals
        self.fields = tuple(fields)
        self.left_out, self._batched = left_out, batched
        self._usable = np.setdiff1d(np.arange(len(dataset)), list(left_out))
        self.bad_images, self._tolerated = bad_images, _share(bad_images)
        self.skipped: Dict[ImageId, str] = {}
        self.dropped: Faults = []
        self._sizes = _sizes_of(dataset, group_aspect and batch_size > 1)
        self._length = len(self._plan(epoch=0))

    def __len__(self) -> int:
        """Returns the number of batches of an epoch, which is the same for every epoch."""
        return self._length

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from number `start` on.

        A batch without any image that can be decoded is left out, so that its number is missing.

        Raises DataError once more of the images are unusable than ``bad_images`` allows.
        """
        self._check_bad_images()
        plan = list(enumerate(self._plan(epoch)))[start:]
        for loaded in self._load_all(epoch, plan):
            self.skipped.update(loaded.skipped)
            self.dropped.extend(fault for fault in loaded.dropped if fault not in self.dropped)
            if loaded.skipped:
                self._check_bad_images()
            if loaded.batch is not None:
                yield loaded.batch

    def _plan(self, epoch: int) -> List[List[int]]:
        """Returns the indices of each batch of an epoch."""
        count = len(self.dataset)
        order = self._usable
        if self.shuffle:
            # The random streams 0..count-1 belong to the images; the next one gives the order.
            order = np.random.default_rng([self.seed, epoch, count]).permutation(order)
        return group_by_aspect(self._sizes, self.batch_size, order)

    def _load_all(self, epoch: int, plan: Sequence[Tuple[int, List[int]]]) -> Iterator[Loaded]:
        """Loads the planned batches in their order, in threads if there are workers."""
        return in_order(lambda task: self._load(epoch, *task), plan, self.workers, "detkit-loader")

    def _load(self, epoch: int, number: int, indices: Sequence[int]) -> Loaded:
        """Loads one batch. It runs in any thread and changes nothing but its result."""
        samples: List[Sample] = []
        originals: List[Tuple[int, int]] = []
        used: List[int] = []
        loaded = Loaded(None, [], [])
        for index in indices:
            with self._named(index):
                decoded = self._read(index, loaded)
                if decoded is None:
                    continue
                sample, factor = decoded
                rng = np.random.default_rng([self.seed, epoch, index])
                read = functools.partial(self._sample, loaded=loaded)
                draw = functools.partial(draw_other, read, self._usable, rng, sample)
                moved = apply(self.transforms, sample, rng, draw)
            samples.append(moved if self.masks else moved._replace(masks=None))
            originals.append((sample.image.shape[0] * factor, sample.image.shape[1] * factor))
            used.append(index)
        if not samples:
            return loaded
        batch = self._batched(samples, originals, self.pad_multiple, used, number)
        return loaded._replace(batch=batch)

    @contextlib.contextmanager
    def _named(self, index: int) -> Iterator[None]:
        """Logs the image at which an error was raised that says nothing of images."""
        try:
            yield
        except DetkitError:
            raise
        except Exception as error:
            image_id = self.dataset.annotation(index).image_id
            log.error("image %r: %s: %s", image_id, type(error).__name__, error)
            raise

    def _sample(self, index: int, loaded: Loaded) -> Optional[Sample]:
        """Returns an image before the transforms, None and a line in `loaded` for a bad image."""
        read = self._read(index, loaded)
        return read and read[0]

    def _read(self, index: int, loaded: Loaded) -> Optional[Tuple[Sample, int]]:
        """Returns what ``_sample`` returns, and the factor by which it was decoded smaller."""
        annotation = self.dataset.annotation(index)
        try:
            decoded = self._images.read(index)
        except ImageError as error:
            loaded.skipped.append((annotation.image_id, str(error)))
            return None
        masks = self._masks(index) if self.masks or self._cut_along_masks() else None
        fields = {name: field_of(self.dataset, name, index) for name in self.fields}
        sample = sample_of(annotation, decoded.in_full, loaded.dropped, masks, fields)
        if self.proposals is not None:
            sample = with_proposals(sample, self.proposals[sample.image_id], loaded.dropped)
        return shrunk(sample, decoded), decoded.factor

    def _cut_along_masks(self) -> List[str]:
        """Returns the names of the transforms that need masks, whatever the detector is."""
        needing = (each for each in self.transforms if getattr(each, "needs_masks", False))
        return [type(each).__name__ for each in needing]

    def _masks(self, index: int) -> np.ndarray:
        masks = self.dataset.masks(index)
        if masks is None:
            kinds = ", ".join(self._cut_along_masks())
            needed = "on which this detector is trained" if self.masks else f"which {kinds} needs"
            without = "a detector of boxes alone" if self.masks else f"leave {kinds} out"
            raise DataError(
                f"dataset {type(self.dataset).__name__}: expected masks, {needed}, found none; use "
                f"a dataset with masks (COCO, Shapes) or {without}"
            )
        return masks

    def _check_bad_images(self) -> None:
        bad = list(self.dataset.bad_images) + list(self.skipped.items())
        total = len(self.dataset) + len(self.dataset.bad_images)
        if len(bad) <= (max(1, self._tolerated * total) if self._tolerated else 0):
            return
        listed = [f"  {image_id}: {reason}" for image_id, reason in bad[:LISTED_BAD_IMAGES]]
        more = [f"  and {len(bad) - len(listed)} more"] * (len(bad) > len(listed))
        raise DataError(
            f"expected at most {self.bad_images} of the images to be unusable, found {len(bad)} of "
            f"{total} images; replace them, remove them from the dataset, or raise "
            "data.bad_images:\n" + "\n".join([*listed, *more])
        )


def _sizes_of(dataset: Dataset, grouped: bool) -> List[Tuple[int, int]]:
    """Returns the (height, width) by which the images of a dataset are grouped."""
    if not grouped:
        return [(0, 0)] * len(dataset)  # if all images count as landscapes, nothing is grouped
    known = (dataset.annotation(index) for index in range(len(dataset)))
    return [(annotation.height, annotation.width) for annotation in known]


def _share(percent: str) -> float:
    """Returns the share in [0, 1] that a percentage such as "1%" or "0.5 %" states."""
    number = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%", percent.strip())
    share = float(number[1]) / 100 if number else -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"bad_images: expected a percentage such as '1%', found {percent!r}")
    return share


def _require_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, found {value!r}")

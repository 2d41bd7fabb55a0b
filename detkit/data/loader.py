"""A dataset -> the batches of an epoch, in the same order and with the same pixels every time.

Order and chance depend on (seed, epoch, index) alone. A run can therefore go on at any batch, and
loading in threads gives bit for bit what loading in the caller's thread gives. Threads and not
processes, because OpenCV and numpy let other threads run while they work, whereas a forked child
inherits MXNet's engine without its threads and hangs.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Deque, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit.data.batch import group_by_aspect, make_batch
from detkit.data.proposed import with_proposals
from detkit.data.sample import (
    NO_FIELDS,
    Annotation,
    Batch,
    Dataset,
    Field,
    Sample,
    Transforms,
)
from detkit.data.transforms import apply
from detkit.errors import DataError, ImageError
from detkit.segmentations import fit

TOLERATED_BAD_IMAGES = 0.01
LISTED_BAD_IMAGES = 10

Faults = List[Tuple[str, str]]


class Loaded(NamedTuple):
    """What became of one batch: the Batch (None if no image could be read) and what was wrong."""

    batch: Optional[Batch]
    skipped: Faults
    dropped: Faults


class Loader:
    """Loads, transforms and pads the images of a dataset.

    dataset: see detkit.data.sample.Dataset.
    transforms: applied to every image in this order.
    batch_size: B; the last batches of an epoch may be smaller, and so is one with a bad image.
    seed: with the epoch it decides the order, with epoch and index the transforms' chance.
    shuffle: another order in each epoch; without it, the dataset's own.
    pad_multiple: see make_batch.
    workers: threads; 0 loads in the caller's thread.
    group_aspect: whether a batch holds either landscapes or portraits.
    masks: whether the batches hold the objects' masks, too.
    proposals: {image_id: boxes (R, 4)} for the batches to hold, too; of every image.
    fields: names of fields of the dataset for the batches to hold, too.

    skipped: {image_id: reason} of the images that could not be decoded so far.
    dropped: (image_id, reason) of boxes and proposals not in the image as it was decoded.
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
    ):
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("pad_multiple", pad_multiple, 1),
            ("workers", workers, 0),
        ):
            if value < least:
                raise ValueError(f"Loader: {name} is {value!r}, expected at least {least}")
        self.dataset = dataset
        self.transforms = tuple(transforms)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.pad_multiple = pad_multiple
        self.workers = workers
        self.masks = masks
        self.proposals = proposals
        self.fields = tuple(fields)
        self.skipped: Dict[str, str] = {}
        self.dropped: Faults = []
        # Nothing is grouped when all count as landscapes.
        self._sizes = [(0, 0)] * len(dataset)
        if group_aspect and batch_size > 1:
            known = (dataset.annotation(index) for index in range(len(dataset)))
            self._sizes = [(annotation.height, annotation.width) for annotation in known]
        self._length = len(self._plan(epoch=0))

    def __len__(self) -> int:
        """The number of batches in every epoch."""
        return self._length

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on.

        A batch none of whose images can be decoded is left out, so that a number may be missing.

        Raises DataError once more than 1 % of the images (and more than one) have proved bad.
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
        """The indices of each batch of an epoch."""
        count = len(self.dataset)
        order: Sequence[int] = range(count)
        if self.shuffle:
            # The stream after those of the images, which are numbered 0..count-1.
            order = np.random.default_rng([self.seed, epoch, count]).permutation(count)
        return group_by_aspect(self._sizes, self.batch_size, order)

    def _load_all(self, epoch: int, plan: Sequence[Tuple[int, List[int]]]) -> Iterator[Loaded]:
        """Load the planned batches in their order, at most two for each worker ahead of time."""
        if self.workers == 0:
            for number, indices in plan:
                yield self._load(epoch, number, indices)
            return
        remaining = iter(plan)
        ahead: Deque[Future] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="detkit-loader") as pool:
            try:
                while True:
                    while len(ahead) < 2 * self.workers:
                        task = next(remaining, None)
                        if task is None:
                            break
                        ahead.append(pool.submit(self._load, epoch, *task))
                    if not ahead:
                        return
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _load(self, epoch: int, number: int, indices: Sequence[int]) -> Loaded:
        """Load one batch. Runs in any thread and changes nothing but what it returns."""
        samples: List[Sample] = []
        originals: List[Tuple[int, int]] = []
        used: List[int] = []
        loaded = Loaded(None, [], [])
        for index in indices:
            annotation = self.dataset.annotation(index)
            try:
                image = self.dataset.image(index)
            except ImageError as error:
                loaded.skipped.append((annotation.image_id, str(error)))
                continue
            masks = self._masks(index) if self.masks else None
            fields = {name: self._field(name, index) for name in self.fields}
            sample = sample_of(annotation, image, loaded.dropped, masks, fields)
            if self.proposals is not None:
                sample = with_proposals(sample, self.proposals[sample.image_id], loaded.dropped)
            rng = np.random.default_rng([self.seed, epoch, index])
            samples.append(apply(self.transforms, sample, rng))
            originals.append(image.shape[:2])
            used.append(index)
        if not samples:
            return loaded
        batch = make_batch(samples, originals, self.pad_multiple, used, number)
        return loaded._replace(batch=batch)

    def _masks(self, index: int) -> np.ndarray:
        masks = self.dataset.masks(index)
        if masks is None:
            raise DataError(
                f"the dataset {type(self.dataset).__name__} has no masks, and this detector is "
                "trained on them; take one that has (COCO, Shapes), or a detector of boxes alone"
            )
        return masks

    def _field(self, name: str, index: int) -> Field:
        if not hasattr(self.dataset, "field"):
            raise DataError(
                f"the dataset {type(self.dataset).__name__} has no field {name!r}, and this "
                "detector is trained on it; take a dataset that has one"
            )
        return self.dataset.field(name, index)

    def _check_bad_images(self) -> None:
        bad = list(self.dataset.bad_images) + list(self.skipped.items())
        total = len(self.dataset) + len(self.dataset.bad_images)
        if len(bad) <= max(1, TOLERATED_BAD_IMAGES * total):
            return
        listed = "\n".join(
            f"  {image_id}: {reason}" for image_id, reason in bad[:LISTED_BAD_IMAGES]
        )
        raise DataError(
            f"{len(bad)} of {total} images cannot be used, more than the 1 % that are skipped; "
            f"replace them or take them out of the dataset. The first of them:\n{listed}"
        )


def sample_of(
    annotation: Annotation,
    image: np.ndarray,
    dropped: Faults,
    masks: Optional[np.ndarray] = None,
    fields: Mapping[str, Field] = NO_FIELDS,
) -> Sample:
    """Join an image, its annotation and, if they are wanted, its objects' masks (G, H, W) and
    fields.

    Where they disagree about the size (a turned photograph, a wrong <size>) the image is right:
    boxes and masks are clipped to it, and those of which nothing is left are added to `dropped`.
    """
    height, width = image.shape[:2]
    boxes = annotation.boxes
    kept = np.ones(len(boxes), bool)
    if (height, width) != (annotation.height, annotation.width):
        boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        dropped.extend(
            (
                annotation.image_id,
                f"box {box.tolist()} lies outside the image, which is {width} x {height} pixels "
                f"and not {annotation.width} x {annotation.height} as annotated",
            )
            for box in annotation.boxes[~kept]
        )
    return Sample(
        image_id=annotation.image_id,
        image=image,
        boxes=boxes[kept],
        labels=annotation.labels[kept],
        difficult=annotation.difficult[kept],
        masks=None if masks is None else fit(masks[kept], (height, width)),
        fields={name: field.take(kept) for name, field in fields.items()},
    )

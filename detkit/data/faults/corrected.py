"""A corrected copy of a dataset, for the writers: without what can be mended."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from detkit import segmentations
from detkit.data.faults.classes import objects_of, similar_names
from detkit.data.faults.fault import LEAST_SIDE, Fault, Splits
from detkit.data.faults.pictures import Key
from detkit.data.images import image_size
from detkit.data.sample import Annotation, Dataset, Faults, Field, HasFields
from detkit.data.writers.entries import HasFiles, outlines_of
from detkit.detections.results import category_ids
from detkit.errors import DataError
from detkit.segmentations import Segmentation

# A copy in the last of these splits stays, so that what is judged is never trained on.
BY_IMPORTANCE = ("train", "val", "test")


class Image(NamedTuple):
    """An image of a corrected copy: its number in the dataset, and the objects that are kept."""

    number: int
    annotation: Annotation
    outlines: List[Optional[Segmentation]]
    kept: np.ndarray  # (G,) bool, of the objects of the dataset


class Corrected:
    """The images and objects that are left of a dataset; see Dataset for the methods."""

    def __init__(
        self, dataset: Dataset, class_names: Tuple[str, ...], images: Sequence[Image]
    ) -> None:
        self._dataset, self._images = dataset, images
        self.class_names = class_names
        ids = dict(zip(dataset.class_names, category_ids(dataset)))
        self.category_ids = tuple(ids[name] for name in class_names)
        self.keypoint_names: Sequence[str] = getattr(dataset, "keypoint_names", ())
        self.dropped: Faults = []
        self.bad_images: Faults = []

    def __len__(self) -> int:
        return len(self._images)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects that are left."""
        return self._images[index].annotation

    def image(self, index: int) -> np.ndarray:
        """Returns the image of the dataset."""
        return self._dataset.image(self._images[index].number)

    def image_path(self, index: int) -> Path:
        """Returns the file of an image."""
        assert isinstance(self._dataset, HasFiles)
        return self._dataset.image_path(self._images[index].number)

    def segmentations(self, index: int) -> List[Optional[Segmentation]]:
        """Returns the outlines of the objects that are left."""
        return self._images[index].outlines

    def masks(self, index: int) -> None:
        """Returns None: the outlines are the masks."""

    def field(self, name: str, index: int) -> Field:
        """Returns the dataset's field of the objects that are left."""
        assert isinstance(self._dataset, HasFields)
        image = self._images[index]
        return self._dataset.field(name, image.number).take(image.kept)


def corrected(splits: Splits, faults: Sequence[Fault]) -> Dict[str, Corrected]:
    """Returns the splits with every change that KINDS states for the faults.

    Raises DataError for a dataset whose images are no files.
    """
    for split, dataset in splits.items():
        if not isinstance(dataset, HasFiles):
            raise DataError(f"{split}: expected images in files, found images that are made")
    without = _left_out_images(splits, faults)
    things = _things(faults, ("tiny", "duplicate"))
    crossing = _things(faults, ("crossing",))
    wrong_sizes = {key for fault in faults if fault.kind == "size" for key in fault.images}
    names = _merged_names(splits)
    result = {}
    for split, dataset in splits.items():
        renamed = [names.get(name, name) for name in dataset.class_names]
        class_names = tuple(dict.fromkeys(renamed))
        labels = np.array([class_names.index(name) for name in renamed], np.int32)
        images = [
            _image(
                dataset,
                key[1],
                labels,
                things.get(key, set()),
                crossing.get(key, set()),
                key in wrong_sizes,
            )
            for key in ((split, index) for index in range(len(dataset)))
            if key not in without
        ]
        result[split] = Corrected(dataset, class_names, images)
    return result


def _image(
    dataset: Dataset,
    index: int,
    labels: np.ndarray,
    without: Set[int],
    crossing: Set[int],
    resized: bool,
) -> Image:
    annotation = dataset.annotation(index)
    height, width = annotation.height, annotation.width
    outlines = outlines_of(dataset, index, len(annotation.labels))
    kept = ~np.isin(np.arange(len(annotation.labels)), list(without))
    for thing in crossing:
        mask = segmentations.decode(outlines[thing] or [], height, width)
        outlines[thing] = segmentations.encode(mask)
    if resized:
        assert isinstance(dataset, HasFiles)
        true = image_size(dataset.image_path(index))
        outlines = [_refitted(outline, (height, width), true) for outline in outlines]
        boxes = np.clip(annotation.boxes, 0, np.array([*true] * 2, np.float32))
        kept &= (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(axis=1)
        annotation = annotation._replace(width=true[0], height=true[1], boxes=boxes)
    areas = annotation.areas
    left = annotation._replace(
        boxes=annotation.boxes[kept],
        labels=labels[annotation.labels[kept]],
        difficult=annotation.difficult[kept],
        areas=None if areas is None else areas[kept],
    )
    return Image(index, left, [each for each, keep in zip(outlines, kept) if keep], kept)


def _refitted(
    outline: Optional[Segmentation], stated: Tuple[int, int], true: Tuple[int, int]
) -> Optional[Segmentation]:
    """Returns run lengths of an image's true size (width, height); polygons stay as they are."""
    if not isinstance(outline, dict):
        return outline
    mask = segmentations.decode(outline, *stated)
    return segmentations.encode(segmentations.fit(mask[None], true[::-1])[0])


def _things(faults: Sequence[Fault], kinds: Sequence[str]) -> Dict[Key, Set[int]]:
    found: Dict[Key, Set[int]] = {}
    for fault in faults:
        if fault.kind in kinds:
            found.setdefault(fault.images[0], set()).update(fault.things)
    return found


def _left_out_images(splits: Splits, faults: Sequence[Fault]) -> Set[Key]:
    """Returns the images that are left out: those of no use, and copies."""
    found: Set[Key] = set()
    for fault in faults:
        if fault.kind in ("truncated", "unreadable", "orientation"):
            found.update(fault.images)
        if fault.kind in ("copy", "copy-across"):
            # The one with the most objects stays: a copy may not be labelled yet.
            stays = max(fault.images, key=lambda key: (_importance(key), _objects(splits, key)))
            found.update(set(fault.images) - {stays})
    return found


def _importance(key: Key) -> int:
    return BY_IMPORTANCE.index(key[0]) if key[0] in BY_IMPORTANCE else -1


def _objects(splits: Splits, key: Key) -> int:
    return len(splits[key[0]].annotation(key[1]).labels)


def _merged_names(splits: Splits) -> Dict[str, str]:
    """Returns {name: the name that it becomes} of names that are nearly the same."""
    counts = objects_of(splits)
    return {
        name: max(group, key=lambda each: sum(counts[each].values()))
        for group in similar_names(list(counts))
        for name in group
    }

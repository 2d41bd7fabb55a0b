"""Datasets made of other datasets: a part of one, one several times, and several one after another.

An image of such a dataset that is there several times gets an augmentation of its own each time.
"""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from detkit.data.sample import Annotation, Dataset, Faults, Field, field_of
from detkit.registry import DATASETS


class Chosen:
    """Images of a dataset in a new order; an image may be left out or be there several times.

    dataset: the dataset.
    indices: its index for each image.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self._dataset, self._indices = dataset, list(indices)
        self.class_names = tuple(dataset.class_names)
        ids = {dataset.annotation(index).image_id for index in self._indices}
        self.dropped: Faults = [fault for fault in dataset.dropped if fault[0] in ids]
        self.bad_images: Faults = list(dataset.bad_images)
        self.keypoint_names = tuple(getattr(dataset, "keypoint_names", ()))
        if hasattr(dataset, "category_ids"):
            self.category_ids = dataset.category_ids

    def __len__(self) -> int:
        return len(self._indices)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of an image."""
        return self._dataset.annotation(self._indices[index])

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB. Raises ImageError if it cannot be decoded."""
        return self._dataset.image(self._indices[index])

    def source(self, index: int) -> Tuple[Dataset, int]:
        """Returns the dataset whose image it is, and its index there."""
        return self._dataset, self._indices[index]

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns the dataset's masks."""
        return self._dataset.masks(self._indices[index])

    def field(self, name: str, index: int) -> Field:
        """Returns the dataset's field. Raises DataError if it has none."""
        return field_of(self._dataset, name, self._indices[index])


@DATASETS.register()
class Subset(Chosen):
    """Some images of a dataset, drawn by a seed, in the dataset's order.

    dataset: the section of the dataset.
    images: their number. A larger subset of the same seed has the images of a smaller one.
    seed: each seed draws other images.
    """

    WRAPS = "dataset"

    def __init__(self, dataset: Dataset, images: int, seed: int = 0) -> None:
        if not 1 <= images <= len(dataset):
            raise ValueError(f"images: expected from 1 to {len(dataset)}, found {images!r}")
        order = _rng(seed).permutation(len(dataset))
        super().__init__(dataset, sorted(order[:images].tolist()))
        # They are none of the drawn images, and would be too large a share of a small subset.
        self.bad_images = []


@DATASETS.register()
class Repeat(Chosen):
    """A dataset several times in each epoch.

    dataset: the section of the dataset.
    times: how often each image is there, at least once.
    """

    WRAPS = "dataset"

    def __init__(self, dataset: Dataset, times: int) -> None:
        if times < 1:
            raise ValueError(f"times: expected at least 1, found {times!r}")
        super().__init__(dataset, list(range(len(dataset))) * times)


@DATASETS.register()
class ClassBalanced(Chosen):
    """A dataset whose images of rare classes are there several times.

    dataset: the section of the dataset.
    share: the share of the images, in (0, 1], below which a class is rare.
    seed: rounds the factors.

    A class of the share f has the factor max(1, sqrt(share / f)), and an image the largest factor
    of its classes (Gupta et al. 2019, LVIS, section 5, "repeat factor sampling", whose share is
    0.001). A factor of 2.3 is three times with a probability of 0.3, and otherwise twice. That is
    drawn once for all epochs. Difficult objects do not count.
    """

    WRAPS = "dataset"

    def __init__(self, dataset: Dataset, share: float = 0.001, seed: int = 0) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share: expected a share in (0, 1], found {share!r}")
        draws = _rng(seed).random(len(dataset))
        times = np.floor(repeat_factors(dataset, share) + draws).astype(int)
        super().__init__(dataset, np.repeat(np.arange(len(dataset)), times).tolist())


@DATASETS.register()
class Concat:
    """The images of several datasets, one dataset after the other.

    datasets: the sections of the datasets.
    maps: for each dataset, the new names of its classes, {old: new}; a class that is not named
        keeps its name. The objects of a class that becomes null are difficult: they are trained on
        neither as objects nor as background. null: no class is renamed.
    class_names: the class names in the order of their labels; null: the new names in the order in
        which the datasets have them.

    If two datasets have an image of the same id, each id gets its dataset's number, "0/id".

    Raises ValueError for maps of unknown classes or to a name that ``class_names`` lacks.
    """

    WRAPS = "datasets"

    def __init__(
        self,
        datasets: Sequence[Dataset],
        maps: Optional[Sequence[Dict[str, Optional[str]]]] = None,
        class_names: Optional[Sequence[str]] = None,
    ) -> None:
        maps = [{} for _ in datasets] if maps is None else maps
        if not datasets or len(maps) != len(datasets):
            raise ValueError(
                f"maps: expected one for each of the {len(datasets)} datasets, found {len(maps)}"
            )
        self._datasets = list(datasets)
        renamed = [_renamed(each, names) for each, names in zip(datasets, maps)]
        new = [name for names in renamed for name in names if name is not None]
        self.class_names = tuple(dict.fromkeys(new) if class_names is None else class_names)
        unknown = sorted({*new} - {*self.class_names}, key=str)
        if unknown:
            raise ValueError(f"class_names: expected {unknown[0]!r}, too, found {class_names!r}")
        labels = {name: label for label, name in enumerate(self.class_names)}
        self._labels = [
            np.array([-1 if name is None else labels[name] for name in names], np.int32)
            for names in renamed
        ]
        self._places = [(n, k) for n, each in enumerate(datasets) for k in range(len(each))]
        ids = [{each.annotation(k).image_id for k in range(len(each))} for each in datasets]
        self._numbered = len(set().union(*ids)) < sum(map(len, ids))
        self.dropped: Faults = [fault for each in datasets for fault in each.dropped]
        self.bad_images: Faults = [fault for each in datasets for fault in each.bad_images]
        kinds = {tuple(getattr(each, "keypoint_names", ())) for each in datasets}
        self.keypoint_names: Tuple[str, ...] = kinds.pop() if len(kinds) == 1 else ()

    def __len__(self) -> int:
        return len(self._places)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of an image with the labels of this dataset."""
        number, place = self._places[index]
        one = self._datasets[number].annotation(place)
        labels = self._labels[number][one.labels]
        return one._replace(
            image_id=f"{number}/{one.image_id}" if self._numbered else one.image_id,
            labels=np.maximum(labels, 0),
            difficult=one.difficult | (labels < 0),
        )

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB. Raises ImageError if it cannot be decoded."""
        number, place = self._places[index]
        return self._datasets[number].image(place)

    def source(self, index: int) -> Tuple[Dataset, int]:
        """Returns the dataset whose image it is, and its index there."""
        number, place = self._places[index]
        return self._datasets[number], place

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns the masks of the image's dataset."""
        number, place = self._places[index]
        return self._datasets[number].masks(place)

    def field(self, name: str, index: int) -> Field:
        """Returns the field of the image's dataset. Raises DataError if it has none."""
        number, place = self._places[index]
        return field_of(self._datasets[number], name, place)


def repeat_factors(dataset: Dataset, share: float) -> np.ndarray:
    """Returns how often each image (N,) float64 should be there; see ClassBalanced."""
    classes = []
    for index in range(len(dataset)):
        one = dataset.annotation(index)
        classes.append(np.unique(one.labels[~one.difficult]))
    images = np.bincount(np.concatenate(classes), minlength=len(dataset.class_names))
    rarity = np.sqrt(share * len(dataset) / np.maximum(images, 1))
    return np.array([max(1, rarity[each].max(initial=0)) for each in classes])


def _renamed(dataset: Dataset, names: Mapping[str, Optional[str]]) -> List[Optional[str]]:
    """Returns the new name of each class of a dataset."""
    unknown = sorted({*names} - {*dataset.class_names}, key=str)
    if unknown:
        raise ValueError(
            f"maps: expected classes of the dataset, {', '.join(dataset.class_names)}, found "
            f"{unknown[0]!r}"
        )
    return [names.get(name, name) for name in dataset.class_names]


def _rng(seed: int) -> np.random.Generator:
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, found {seed!r}")
    return np.random.default_rng(seed)

"""A folder of a user's data: its images and objects, and their splits into train, val and test."""

import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np
from tqdm import tqdm

from detkit.data.layout_files import ALL
from detkit.data.names import check_folder, check_text
from detkit.data.near_duplicates import Fingerprint, fingerprint, near_duplicates
from detkit.data.readers.files import files_below, images_below, name_below
from detkit.data.recognise import Source, read_source, recognise
from detkit.data.sample import Dataset, Faults
from detkit.data.splits import SHARES, cut_large, split_groups
from detkit.data.writers.entries import HasFiles
from detkit.errors import DataError
from detkit.wording import counted, did_you_mean, first_few

ANNOTATIONS = (".json", ".jsonl", ".ndjson", ".xml", ".csv", ".txt", ".yaml", ".yml")


class Part(NamedTuple):
    """One of train, val and test: some images of a dataset.

    of: the source's own split, or "all".
    """

    dataset: Dataset
    indices: List[int]
    of: str


class OwnData(NamedTuple):
    """The content of a folder, as it was read and split.

    source: its layout. datasets: {split of the source: dataset}.
    parts: {train, val and test: Part}; "test" is absent if too few images have objects.
    undecoded: {split of the source: faults} of the images that no part has, because their files
        cannot be decoded.
    notes: sentences on what a user would not expect.
    """

    source: Source
    datasets: Dict[str, Dataset]
    parts: Dict[str, Part]
    undecoded: Dict[str, Faults]
    notes: List[str]


def read_own(
    folder: Union[str, Path],
    layout: Optional[str] = None,
    class_names: Optional[Sequence[str]] = None,
    seed: int = 0,
) -> OwnData:
    """Returns what a folder holds, in any layout that ``recognise`` knows.

    layout: see recognise. class_names: some of its classes, in the order of their labels, or None.

    Splits of the source are kept. If it has but one, or none, the others are taken from it, see
    split_groups; a missing test set is taken from its training images.

    Raises DataError, with what to do next, if the folder has no annotations, if most of its images
    cannot be used, or if fewer than two of them have objects.
    """
    source = _recognised(Path(folder).expanduser(), layout)
    datasets = read_source(source)
    if not all(isinstance(dataset, HasFiles) for dataset in datasets.values()):
        raise DataError(
            f"{folder}: expected images in files, found packed ones ({source.layout}); name this "
            "layout in data.train of a config, or write files by detkit convert --to coco"
        )
    if class_names:
        source = _of_classes(source, next(iter(datasets.values())).class_names, class_names)
        datasets = read_source(source)
    prints = {split: _fingerprints(split, dataset) for split, dataset in datasets.items()}
    undecoded = {split: _undecoded(datasets[split], prints[split]) for split in datasets}
    _check_most(folder, datasets, undecoded)
    notes: List[str] = []
    parts = _parts(folder, datasets, prints, seed, notes)
    return OwnData(source, datasets, parts, undecoded, notes + _shared(parts, prints))


def _of_classes(source: Source, known: Sequence[str], chosen: Sequence[str]) -> Source:
    """Returns a source of some of its classes alone. Raises DataError for an unknown one."""
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise DataError(
            f"--classes: expected some of {', '.join(known)}, found {unknown[0]!r}"
            f"{did_you_mean(unknown[0], known)}"
        )
    names = {"class_names": list(chosen)}
    return source._replace(
        splits={split: {**each, **names} for split, each in source.splits.items()}
    )


def path_of(dataset: Dataset, index: int) -> Path:
    """Returns the absolute path of an image's file."""
    assert isinstance(dataset, HasFiles)  # read_own refuses others
    return Path(os.path.abspath(dataset.image_path(index)))


def objects_of(dataset: Dataset) -> np.ndarray:
    """Returns the number of objects (N, K) of each class in each image, without difficult ones."""
    counts = np.zeros((len(dataset), len(dataset.class_names)), int)
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        np.add.at(counts[index], annotation.labels[~annotation.difficult], 1)
    return counts


def _recognised(folder: Path, layout: Optional[str]) -> Source:
    if not folder.exists():
        check_folder(folder, "the folder of images and annotations")
    try:
        return recognise(folder, layout)
    except DataError as error:
        if layout or not folder.is_dir() or files_below(folder, ANNOTATIONS):
            raise
        try:
            images = images_below(folder)
        except DataError:
            raise error from None
        raise DataError(
            f"{folder}: expected annotations, found {len(images)} images alone; draw boxes in them "
            "with LabelMe, CVAT, Label Studio or another program, save these below the folder, and "
            "try again (detkit convert --help lists the layouts)"
        ) from error


def _fingerprints(split: str, dataset: Dataset) -> List[Optional[Fingerprint]]:
    """Returns the Fingerprint of each image; None for one whose file cannot be decoded."""
    # disable=None: a bar is shown only in a terminal.
    indices = tqdm(range(len(dataset)), desc=f"looking at {split}", disable=None, leave=False)
    paths = (path_of(dataset, index) for index in indices)
    return [fingerprint(path) if _is_text(path) else None for path in paths]


def _is_text(path: Path) -> bool:
    """Returns whether a path can be written to a file in UTF-8."""
    try:
        check_text(str(path), "path")
    except DataError:
        return False
    return True


def _undecoded(dataset: Dataset, prints: Sequence[Optional[Fingerprint]]) -> Faults:
    reasons = {True: "cannot be decoded", False: "expected a name in UTF-8"}
    paths = {index: path_of(dataset, index) for index, each in enumerate(prints) if each is None}
    return [
        (
            dataset.annotation(index).image_id,
            f"{name_below(path, path.parent)}: {reasons[_is_text(path)]}",
        )
        for index, path in paths.items()
    ]


def _check_most(
    folder: Union[str, Path], datasets: Dict[str, Dataset], undecoded: Dict[str, Faults]
) -> None:
    """Raises DataError if more than half of the images cannot be used."""
    faults = [fault for split in datasets for fault in undecoded[split]]
    faults += [fault for dataset in datasets.values() for fault in dataset.bad_images]
    total = sum(len(each) + len(each.bad_images) for each in datasets.values())
    if 2 * len(faults) > total:
        listed = first_few([f"{image_id}: {reason}" for image_id, reason in faults], 3)
        raise DataError(
            f"{folder}: expected images most of which can be used, found {len(faults)} of {total} "
            f"that cannot: {listed}; correct them, or name the folder that holds the images"
        )


def _parts(
    folder: Union[str, Path],
    datasets: Dict[str, Dataset],
    prints: Dict[str, List[Optional[Fingerprint]]],
    seed: int,
    notes: List[str],
) -> Dict[str, Part]:
    """Returns train, val and test: the source's own, and those that are missing from the largest.

    A sentence is added to ``notes`` for what is done otherwise.
    """
    readable = {
        split: [index for index, each in enumerate(found) if each is not None]
        for split, found in prints.items()
    }
    # What is missing is taken from the training images, if there are any.
    pool = next(split for split in ("train", ALL, "val", "test") if split in datasets)
    own = {split: Part(datasets[split], readable[split], split) for split in datasets}
    missing = [split for split in SHARES if split not in datasets]
    objects = objects_of(datasets[pool])[readable[pool]]
    shared = [split for split in SHARES if split == pool or split in missing]
    usable = int(objects.any(axis=1).sum())
    if usable < len(shared) and "test" in missing:
        shared.remove("test")
        notes.append("there is no test set, because too few images have objects")
    if usable < len(shared):
        raise DataError(
            f"{folder}: expected at least {len(shared)} images with objects, to train on one and "
            f"to judge the detector on another, found {usable}; annotate more images"
        )
    if len(shared) > 1:
        found = near_duplicates([prints[pool][index] for index in readable[pool]])
        for split, places in _share_out(found, objects, shared, seed, notes).items():
            indices = [readable[pool][place] for place in places]
            own[split] = Part(datasets[pool], indices, pool)
    return {split: own[split] for split in SHARES if split in own}


def _share_out(
    found: List[List[int]], objects: np.ndarray, shared: List[str], seed: int, notes: List[str]
) -> Dict[str, List[int]]:
    """Returns {part: indices} of the images in groups of near duplicates, see split_groups."""
    groups, cut = cut_large(found, objects, len(shared))
    if cut:
        notes.append(
            f"{cut} images look much alike, as those of a fixed camera do, and were split all the "
            "same; the results on val and test will look better than they are"
        )
    return split_groups(objects, groups, {split: SHARES[split] for split in shared}, seed)


def _shared(parts: Dict[str, Part], prints: Dict[str, List[Optional[Fingerprint]]]) -> List[str]:
    """Returns a sentence if near duplicates lie in several of the source's own splits."""
    where = [(name, part.of, index) for name, part in parts.items() for index in part.indices]
    groups = near_duplicates([prints[split][index] for _, split, index in where])
    pairs = []
    for group in groups:
        first, *others = group
        apart = [each for each in others if where[each][1] != where[first][1]]
        pairs += [(first, apart[0])] if apart else []
    if not pairs:
        return []
    one, other = (path_of(parts[where[p][0]].dataset, where[p][2]) for p in pairs[0])
    more = counted(len(pairs) - 1, "other pair")
    return [
        f"{one} and {other} look the same and lie in different splits"
        + f", as {more} of images do" * (len(pairs) > 1)
        + "; the results on val and test will look better than they are"
    ]

"""Where the files of a dataset usually lie: annotations, images, and the folders of its splits."""

import itertools
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from detkit.data.images import SUFFIXES
from detkit.data.names import is_file
from detkit.data.readers.files import files_below, read_json, read_xml
from detkit.errors import DataError

Sections = Dict[str, Dict[str, Any]]  # {split: section of a config}
ALL = "all"  # the only split of a dataset without splits
SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
LOOKED_AT = 20  # files of one suffix in a folder that are opened in search of a layout
HEAD = 1 << 16  # bytes of a file that are looked at before it is read as a whole
OF_ANNOTATIONS = ("Annotations", "annotations", "labels", "xml")  # usual names of folders
OF_IMAGES = ("JPEGImages", "images", "Images", "data")


def of_files(
    folder: Path,
    suffixes: Tuple[str, ...],
    kind: str,
    first_image: Callable[[Path], Optional[str]],
) -> Sections:
    """Returns a section of ``kind`` for each file of annotations, with the folder of its images.

    first_image: returns the name of the first image of a file, "" if that is not known, and None
        for a file of another layout.

    Raises the DataError of ``first_image``, for a file of this layout that is malformed.
    """
    sections: Sections = {}
    for split, file in _annotation_files(folder, suffixes):
        name = first_image(file)
        if name is not None and split not in sections:
            images = _image_folder(_root_of(folder), file, split, name)
            sections[split] = {"type": kind, "annotations": str(file), "images": str(images)}
    splits = [split for split in SPLITS if split in sections] or list(sections)
    return {split: sections[split] for split in splits}


def malformed_files(folder: Path) -> List[str]:
    """Returns the faults of the JSON and XML files that may hold annotations of many images."""
    faults = []
    for suffix, read in ((".json", read_json), (".xml", read_xml)):
        for _, file in _annotation_files(folder, (suffix,)):
            try:
                read(file)
            except DataError as error:
                faults.append(str(error))
    return list(dict.fromkeys(faults))


def _root_of(path: Path) -> Path:
    """Returns the folder of a dataset that is named by the folder, or by a file in it."""
    folder = path if path.is_dir() else path.parent
    return folder.parent if folder != path and folder.name in OF_ANNOTATIONS else folder


def _annotation_files(folder: Path, suffixes: Tuple[str, ...]) -> Iterator[Tuple[str, Path]]:
    """Yields (split, file) of the files that may hold annotations of many images."""
    if folder.is_file():
        if folder.suffix in suffixes:
            yield ALL, folder
        return
    for place in (folder, *(folder / each for each in OF_ANNOTATIONS)):
        # instances_train.json comes before person_keypoints_train.json.
        for file in first_files(place, suffixes):
            yield split_of(file.stem) or ALL, file
    for split, place in places_of_splits(folder):
        if place != folder:
            for file in first_files(place, suffixes):
                yield split, file


def _image_folder(root: Path, file: Path, split: str, name: str) -> Path:
    """Returns the folder that has the image ``name``, or else the first one with images."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", file.stem) if split_of(word)]
    below = [*words, *SPLITS.get(split, ()), "."]
    parents = [file.parent, *(root / each for each in OF_IMAGES), root]
    folders = [parent / each for each in below for parent in parents]
    named = [each for each in folders if name and is_file(each / name)]
    filled = (each for each in folders if first_files(each, SUFFIXES))
    return next(iter(named), None) or next(filled, root)


def first_with_images(folders: Iterable[Path]) -> Optional[Path]:
    """Returns the first of the folders that has an image in it or below."""
    return next((each for each in folders if each.is_dir() and files_below(each, SUFFIXES)), None)


def places_of_splits(folder: Path) -> List[Tuple[str, Path]]:
    """Returns (split, folder) of the folders train, valid, test, or the folder itself as ALL."""
    folders = [each for each in _sorted(folder) if each.is_dir()]
    # The first of several wins: train comes before train_masks.
    below = {split_of(each.name): each for each in reversed(folders)}
    splits = [(split, below[split]) for split in SPLITS if split in below]
    return splits or [(ALL, folder)]


def split_of(name: str) -> Optional[str]:
    """Returns the split that a name such as instances_val2017 speaks of, or None."""
    words = re.findall("[a-z]+", name.lower())
    return next((s for s, names in SPLITS.items() if any(word in names for word in words)), None)


def first_files(folder: Path, suffixes: Tuple[str, ...]) -> List[Path]:
    """Returns the first files in a folder, not below its folders, with one of the suffixes."""
    files = (path for path in _sorted(folder) if path.name.lower().endswith(suffixes))
    return list(itertools.islice(filter(is_file, files), LOOKED_AT))


def _sorted(folder: Path) -> List[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def head_of(file: Path) -> bytes:
    """Returns the beginning of a file; nothing of one that cannot be read."""
    try:
        with open(file, "rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""

"""The parts of every writer of datasets: the folder, the names of the images, and their files."""

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Set,
    Tuple,
    Union,
    runtime_checkable,
)

import cv2

from detkit import segmentations
from detkit.data.readers.lists import CLASS_FILE
from detkit.data.sample import Annotation, Dataset, Faults
from detkit.errors import DataError
from detkit.segmentations import Segmentation

IMAGES = ("copy", "hardlink", "symlink")  # how the files of images get into the new folder
UNSAFE = re.compile(
    r"[\0-\x1f<>:\"|?*\\]"
)  # characters that no file system, or not every one, takes
CONTROL = re.compile(r"[\0-\x1f]")
LONGEST_NAME = 120  # characters of a part, so that a suffix and a number fit


@runtime_checkable
class HasFiles(Protocol):
    """The protocol of a dataset whose images are files."""

    def image_path(self, index: int) -> Path:
        """Returns the file of an image."""


@runtime_checkable
class HasBytes(Protocol):
    """The protocol of a dataset whose images are packed into one file."""

    def image_name(self, index: int) -> str:
        """Returns the name of the file that an image was packed from."""

    def image_bytes(self, index: int) -> bytes:
        """Returns the bytes of that file."""


@runtime_checkable
class HasSegmentations(Protocol):
    """The protocol of a dataset that knows the outlines of its masks."""

    def segmentations(self, index: int) -> List[Optional[Segmentation]]:
        """Returns the segmentation of each object, None for an object without one."""


class Written(NamedTuple):
    """The numbers of images and objects that a writer wrote.

    left_out: (image_id, reason) of each object that the format cannot state.
    """

    images: int
    objects: int
    left_out: Faults


class Entry(NamedTuple):
    """One image to write.

    split: the name of the dataset.
    number: the image's index in the dataset.
    name: a file name with suffix that no other image of the split has; it may have folders.
    annotation: the objects.
    outlines: the segmentation of each object, None for an object without one.
    """

    dataset: Dataset
    split: str
    number: int
    name: str
    annotation: Annotation
    outlines: List[Optional[Segmentation]]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return str(PurePosixPath(self.name).with_suffix(""))

    @property
    def class_names(self) -> List[str]:
        """The class name of each object."""
        return [self.dataset.class_names[label] for label in self.annotation.labels]

    @property
    def boxes(self) -> List[List[float]]:
        """The boxes x1 y1 x2 y2 as numbers of Python, the shortest that are the same float32."""
        return [[float(str(side)) for side in box] for box in self.annotation.boxes]

    def image_bytes(self) -> bytes:
        """Returns the bytes of the image's file; PNG of its pixels if the dataset has no files.

        Raises OSError, and ImageError for a damaged record.
        """
        if isinstance(self.dataset, HasFiles):
            return self.dataset.image_path(self.number).read_bytes()
        if isinstance(self.dataset, HasBytes):
            return self.dataset.image_bytes(self.number)
        pixels = cv2.cvtColor(self.dataset.image(self.number), cv2.COLOR_RGB2BGR)
        data: bytes = cv2.imencode(".png", pixels)[1].tobytes()
        return data

    def put_image(self, target: Path, images: str) -> None:
        """Puts the image's file at ``target``; PNG of its pixels if the dataset has no files.

        images: one of IMAGES. Raises DataError, also if a file is there already.
        """
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise FileExistsError(0, "another image has this name")
            if not isinstance(self.dataset, HasFiles):
                target.write_bytes(self.image_bytes())
                return
            source = self.dataset.image_path(self.number).resolve()
            if images == "copy":
                shutil.copyfile(source, target)
            else:
                (os.link if images == "hardlink" else os.symlink)(source, target)
        except OSError as error:
            hint = "; hard links need one disk, images: copy does not" * (images == "hardlink")
            raise DataError(f"{target}: cannot be written: {error.strerror}{hint}") from error


@contextmanager
def new_folder(folder: Union[str, Path], images: str) -> Iterator[Path]:
    """Yields a folder under another name, which becomes ``folder`` at the end.

    The folder is therefore complete or absent. Raises DataError if it holds anything already or
    cannot be written, and ValueError for another word than those of IMAGES.
    """
    if images not in IMAGES:
        raise ValueError(f"images: expected one of {', '.join(IMAGES)}, found {images!r}")
    folder = Path(folder).expanduser()
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder}: expected a new or an empty folder, found one with files")
    part = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        part.mkdir()
        yield part
        os.replace(part, folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        if part is not None and part.exists():
            shutil.rmtree(part, ignore_errors=True)


def entries(datasets: Mapping[str, Dataset], flat: bool = False) -> Iterator[Entry]:
    """Yields the images of all splits.

    flat: whether names have no folders and differ between the splits, too.

    Raises DataError for splits of different classes and for a split's name that is no file name.
    """
    taken: Set[str] = set()
    _check_classes(datasets)
    for split, dataset in datasets.items():
        if _safe(split, flat=True) != split:
            raise DataError(f"split: expected the name of a folder, found {split!r}")
        taken = taken if flat else set()
        for index in range(len(dataset)):
            annotation = dataset.annotation(index)
            name = _unused(_name(dataset, index, annotation.image_id, flat), taken)
            yield entry_of(dataset, split, index, name)


def entry_of(dataset: Dataset, split: str, index: int, name: str) -> Entry:
    """Returns the Entry of an image under a name."""
    annotation = dataset.annotation(index)
    outlines = outlines_of(dataset, index, len(annotation.labels))
    return Entry(dataset, split, index, name, annotation, outlines)


def put_classes(folder: Path, datasets: Mapping[str, Dataset]) -> None:
    """Writes classes.txt, for a format that names classes only where there are objects of them."""
    names = next(iter(datasets.values())).class_names
    text = "".join(f"{name}\n" for name in names)
    (folder / CLASS_FILE).write_text(text, encoding="utf-8")


def single_polygon(outline: Segmentation, height: int, width: int) -> List[float]:
    """Returns one polygon x y x y ... of a segmentation.

    Several polygons are joined. Run lengths, and polygons that overlap, are followed along the
    borders of their pixels. The mask of (height, width) pixels stays the same.
    """
    mask = segmentations.decode(outline, height, width)
    if isinstance(outline, list):
        whole = segmentations.joined(outline)
        if len(outline) == 1 or (segmentations.decode([whole], height, width) == mask).all():
            return list(whole.tolist())
    traced = segmentations.outlines(mask)
    return list(segmentations.joined(traced).tolist()) if traced else []


def _check_classes(datasets: Mapping[str, Dataset]) -> None:
    """Raises DataError unless all splits have the same classes, and names that a file can hold."""
    classes: Dict[Tuple[str, ...], str] = {
        tuple(dataset.class_names): split for split, dataset in datasets.items()
    }
    if len(classes) != 1:
        found = "; ".join(f"{split}: {', '.join(names)}" for names, split in classes.items())
        raise DataError(
            f"splits: expected the same classes in each, found {found or 'no split'}; set "
            "class_names for all"
        )
    odd = [name for name in next(iter(classes)) if CONTROL.search(name)]
    if odd:
        raise DataError(f"class_names: expected names without control characters, found {odd[0]!r}")


def _name(dataset: Dataset, index: int, image_id: Any, flat: bool) -> str:
    """Returns a file name for an image, made of its id, or of its file if the id is a number."""
    path: Optional[PurePath] = None
    if isinstance(dataset, HasFiles):
        path = dataset.image_path(index)
    elif isinstance(dataset, HasBytes):
        path = PurePosixPath(dataset.image_name(index))
    suffix = path.suffix if path else ".png"
    name = str(image_id) if isinstance(image_id, str) or path is None else path.name
    if name.lower().endswith(suffix.lower()):
        name = name[: len(name) - len(suffix)]
    return _safe(name, flat) + suffix


def _safe(name: str, flat: bool) -> str:
    """Returns a relative name without "..", without characters that are no letters of a file."""
    parts = [UNSAFE.sub("_", part).strip(" ")[:LONGEST_NAME] for part in name.split("/")]
    parts = [part for part in parts if part.strip(".")]
    return ("_" if flat else "/").join(parts) or "image"


def _unused(name: str, taken: Set[str]) -> str:
    """Returns the name, with a number if its stem is taken, and takes it; case does not count."""
    path, number = PurePosixPath(name), 1
    stem = str(path.with_suffix(""))
    while f"{stem}{f'-{number}' * (number > 1)}".lower() in taken:
        number += 1
    stem += f"-{number}" * (number > 1)
    taken.add(stem.lower())
    return stem + path.suffix


def outlines_of(dataset: Dataset, index: int, count: int) -> List[Optional[Segmentation]]:
    """Returns a new list of the segmentations of the ``count`` objects of an image."""
    if isinstance(dataset, HasSegmentations):
        return list(dataset.segmentations(index))
    masks = dataset.masks(index)
    return [None] * count if masks is None else [segmentations.encode(mask) for mask in masks]

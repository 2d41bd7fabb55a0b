"""Pascal VOC folders: Annotations/*.xml, JPEGImages/*, ImageSets/Main/*.txt.

Many tools write this layout, each a little differently: coordinates may be floats, <size> absent,
<filename> wrong. What can be read is read; what cannot be used is left out and recorded.
"""

import math
import os
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from detkit.data.images import check_image_file, decode_image
from detkit.data.sample import Annotation
from detkit.errors import DataError, ImageError
from detkit.registry import DATASETS

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on
DIFFICULT = ("ignore", "keep", "drop")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
LISTED = 5
# The second column of a list of one class: there, difficult or absent.
CLASS_COLUMN = re.compile(r"\s+-?[01]$")


class Place(NamedTuple):
    """Where one image of a split lies: `folder` holds Annotations and JPEGImages."""

    folder: Path
    name: str

    @property
    def xml(self) -> Path:
        return self.folder / "Annotations" / f"{self.name}.xml"


@DATASETS.register()
class VOC:
    """The images of one or several splits of Pascal VOC or of a folder laid out like it.

    root: the folder that holds ImageSets, or that holds VOC2007, VOC2012, ...
    splits: such as ["trainval"], or ["VOC2007/trainval", "VOC2012/trainval"], read as one; an
        image that two of them name counts once.
    class_names: the K names in the order of their labels, or the path of a text file with one
        name to a line; VOC's 20 by default.
    difficult: what becomes of objects marked difficult: "ignore" keeps and flags them (not
        trained on, neither right nor wrong in evaluation, as VOC does), "keep" takes them for
        ordinary objects, "drop" leaves them out.

    Corners, which VOC counts from 1 and includes, become x1 - 1, y1 - 1, x2, y2. Boxes are
    clipped to the image's <size>. One whose corners coincide is a click without a drag, not an
    object of one pixel, and is dropped.

    dropped: (image_id, reason) of the boxes left out: of other classes, degenerate, or outside.
    bad_images: (image_id, reason) of the images left out because their file is no whole image.

    Raises DataError when files are missing or malformed, or no box is left; ValueError for
    arguments that mean nothing.
    """

    def __init__(
        self,
        root: str,
        splits: Sequence[str],
        class_names: Union[Sequence[str], str, None] = None,
        difficult: str = "ignore",
    ):
        if difficult not in DIFFICULT:
            raise ValueError(f"VOC: difficult is {difficult!r}, expected one of {DIFFICULT}")
        if isinstance(splits, str) or not splits:
            raise ValueError(f"VOC: splits is {splits!r}, expected a list such as ['trainval']")
        self.class_names = _class_names(class_names)
        self.difficult = difficult
        self.dropped: List[Tuple[str, str]] = []
        self.bad_images: List[Tuple[str, str]] = []
        self._annotations: List[Annotation] = []
        self._images: List[Path] = []
        self._found_names: Set[str] = set()
        places = _places(Path(root).expanduser(), splits)
        _require_none(
            [p.xml for p in places.values() if not p.xml.is_file()], "annotations", places
        )
        self._read_all(places)
        if not any(len(annotation.labels) for annotation in self._annotations):
            raise DataError(
                f"{root}: no object of {', '.join(splits)} can be used: {len(places)} images, of "
                f"which {len(self.bad_images)} are unusable, and {len(self.dropped)} dropped "
                f"objects. Classes in the data: {', '.join(sorted(self._found_names)) or 'none'}; "
                f"class_names: {', '.join(self.class_names)}"
            )

    def __len__(self) -> int:
        return len(self._annotations)

    def annotation(self, index: int) -> Annotation:
        """The objects of an image."""
        return self._annotations[index]

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises ImageError when the file cannot be decoded."""
        return decode_image(self._images[index])

    def masks(self, index: int) -> Optional[np.ndarray]:
        """None: boxes are all that is read."""
        return None

    def _read_all(self, places: Dict[str, Place]) -> None:
        missing = []
        for image_id, place in places.items():
            root = _parse(place.xml)
            image = _image_path(place, root)
            if image.is_file():
                self._read(image_id, place.xml, root, image)
            else:
                missing.append(image)
        _require_none(missing, "images", places)

    def _read(self, image_id: str, xml: Path, root: Element, image: Path) -> None:
        try:
            check_image_file(image)
            width, height = _size(root) or decode_image(image).shape[1::-1]
        except ImageError as error:
            self.bad_images.append((image_id, str(error)))
            return
        nodes = root.findall("object")
        objects = [self._object(image_id, xml, node, width, height) for node in nodes]
        kept = [thing for thing in objects if thing]
        self._images.append(image)
        self._annotations.append(
            Annotation(
                image_id=image_id,
                width=width,
                height=height,
                boxes=np.array([box for box, _, _ in kept], np.float32).reshape(-1, 4),
                labels=np.array([label for _, label, _ in kept], np.int32),
                difficult=np.array([difficult for _, _, difficult in kept], bool),
            )
        )

    def _object(
        self, image_id: str, xml: Path, node: Element, width: int, height: int
    ) -> Optional[Tuple[np.ndarray, int, bool]]:
        """(box, label, difficult) of an <object>; None if it is dropped."""
        name = (node.findtext("name") or "").strip()
        self._found_names.add(name)
        difficult = (node.findtext("difficult") or "").strip() == "1"
        if name not in self.class_names:
            self.dropped.append((image_id, f'class "{name}" is not in class_names'))
            return None
        if difficult and self.difficult == "drop":
            self.dropped.append((image_id, f'"{name}" is marked difficult'))
            return None
        corners = _corners(xml, node, name)
        fault = _fault(corners, width, height)
        if fault:
            self.dropped.append((image_id, f'"{name}": {fault}'))
            return None
        box = np.clip(np.subtract(corners, (1, 1, 0, 0)), 0, [width, height] * 2)
        return box, self.class_names.index(name), difficult and self.difficult == "ignore"


def _class_names(names: Union[Sequence[str], str, None]) -> Tuple[str, ...]:
    if names is None:
        return VOC_CLASSES
    if isinstance(names, str):
        names = _lines(Path(names), "class names, one to a line,")
    names = tuple(str(name).strip() for name in names)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        found = f"{', '.join(repeated)} more than once" if repeated else "none"
        raise ValueError(f"VOC: class_names holds {found}, expected names that differ")
    return names


def _places(root: Path, splits: Sequence[str]) -> Dict[str, Place]:
    """{image_id: place}; ids are file stems, led by the folder where stems alone would repeat."""
    places: List[Place] = []
    for split in splits:
        folder, name = (root / split).parent, (root / split).name
        lines = _lines(folder / "ImageSets" / "Main" / f"{name}.txt", f"the images of {split!r}")
        places.extend(Place(folder, CLASS_COLUMN.sub("", line.strip())) for line in lines)
    places = list(dict.fromkeys(places))
    stems = [place.name for place in places]
    if len(set(stems)) == len(stems):
        return dict(zip(stems, places))
    return {f"{os.path.relpath(place.folder, root)}/{place.name}": place for place in places}


def _lines(path: Path, what: str) -> List[str]:
    """The lines of a text file that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        beside = sorted(file.name for file in path.parent.glob("*.txt"))
        there = f"found there: {_shorten(beside)}" if beside else f"{path.parent} has no .txt file"
        raise DataError(f"{path}: cannot read {what} ({error.strerror}); {there}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {what} is not UTF-8 text ({error})") from error
    return [line for line in text.splitlines() if line.strip()]


def _require_none(missing: Sequence[Path], what: str, places: Dict[str, Place]) -> None:
    if missing:
        raise DataError(
            f"{len(missing)} of {len(places)} {what} are missing: {_shorten(missing)}; "
            "add the files, or take the names out of the lists in ImageSets/Main"
        )


def _parse(xml: Path) -> Element:
    try:
        return parse(str(xml)).getroot()
    except ParseError as error:
        raise DataError(f"{xml}:{error.position[0]}: malformed XML: {error}") from error
    except DefusedXmlException as error:
        raise DataError(
            f"{xml}: refused, for it defines or refers to entities ({error}); "
            "an annotation needs none: remove the DOCTYPE"
        ) from error
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{xml}: cannot be read: {error}") from error


def _image_path(place: Place, root: Element) -> Path:
    """The file named like the annotation if it exists, else the one that <filename> names.

    In this order, because <filename> is often stale where a dataset was renumbered.
    """
    folder = place.folder / "JPEGImages"
    for suffix in IMAGE_SUFFIXES:
        if (folder / f"{place.name}{suffix}").is_file():
            return folder / f"{place.name}{suffix}"
    tagged = Path((root.findtext("filename") or "").strip().replace("\\", "/")).name
    if tagged and (folder / tagged).is_file():
        return folder / tagged
    return folder / f"{place.name}{IMAGE_SUFFIXES[0]}"


def _size(root: Element) -> Optional[Tuple[int, int]]:
    """(width, height) by <size>, or None if it is missing or zero."""
    try:
        width, height = (
            int(float(root.findtext(f"size/{side}", "0"))) for side in ("width", "height")
        )
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _corners(xml: Path, node: Element, name: str) -> List[float]:
    """xmin, ymin, xmax, ymax as the file has them; NaN and infinity pass."""
    corners = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        text = node.findtext(f"bndbox/{tag}")
        try:
            corners.append(float(text or ""))
        except ValueError as error:
            raise DataError(
                f'{xml}: <{tag}> of an object "{name}" is {text!r}, expected a number'
            ) from error
    return corners


def _fault(corners: Sequence[float], width: int, height: int) -> Optional[str]:
    """Why a box cannot be used in an image of this size, or None."""
    xmin, ymin, xmax, ymax = corners
    numbers = f"box {xmin:g} {ymin:g} {xmax:g} {ymax:g}"
    if not all(map(math.isfinite, corners)):
        return f"{numbers} is not finite"
    if xmax <= xmin or ymax <= ymin:
        return f"{numbers} has no area"
    if xmax <= 0 or ymax <= 0 or xmin - 1 >= width or ymin - 1 >= height:
        return f"{numbers} lies outside the image of {width} x {height} pixels"
    return None


def _shorten(names: Sequence[object]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(str, names[:LISTED])) + more

"""Reads Pascal VOC folders: Annotations/*.xml, JPEGImages/*, ImageSets/Main/*.txt.

Many tools write this layout, each a little differently: coordinates may be floats, <size> absent,
<filename> wrong. The reader accepts such files. Objects that it cannot use are dropped, and images
that it cannot use are left out; all of them are recorded.
"""

import math
import os
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple
from xml.etree.ElementTree import Element

import numpy as np

from detkit.data.images import MAX_PIXELS, check_image_file, decode_image, decode_reduced
from detkit.data.names import check_folder, is_file, path_below
from detkit.data.readers.files import read_xml
from detkit.data.readers.lists import Names, given_classes, text_lines, unknown_class
from detkit.data.readers.records import summary
from detkit.data.readers.voc_masks import read_masks
from detkit.data.readers.voc_xml import corners_of, is_difficult, name_of, stated_size, tagged_name
from detkit.data.sample import Annotation, Faults
from detkit.errors import DataError, ImageError
from detkit.registry import DATASETS

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on
POLICIES = ("ignore", "keep", "drop")  # for difficult objects
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
# The second column in the list of one class: present (1), difficult (0) or absent (-1).
CLASS_COLUMN = re.compile(r"\s+-?[01]$")


class Place(NamedTuple):
    """The place of one image of a split; `folder` holds Annotations and JPEGImages."""

    folder: Path
    name: str

    @property
    def xml(self) -> Path:
        """The file of the image's annotation."""
        return self.folder / "Annotations" / f"{self.name}.xml"


@DATASETS.register()
class VOC:
    """The images of one or several splits of Pascal VOC, or of a folder with the same layout.

    root: the folder that holds ImageSets, or that holds VOC2007, VOC2012, ...
    splits: such as ["trainval"], or ["VOC2007/trainval", "VOC2012/trainval"]; they are joined, and
        an image in two of them counts once.
    class_names: the K names in the order of their labels, or the path of a text file with one name
        per line; null takes VOC's 20.
    difficult: how objects marked difficult are treated. "ignore": they are flagged, neither trained
        on nor counted in evaluation, as in VOC. "keep": they are ordinary objects. "drop": they are
        dropped.
    masks: true: the splits are the lists in ImageSets/Segmentation, and the masks of their objects
        are read from SegmentationObject.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    VOC's corners are 1-based and inclusive; they become x1 - 1, y1 - 1, x2, y2. Boxes are clipped
    to the image's <size>. A box whose corners coincide is a click without a drag instead of an
    object of one pixel, and is dropped.

    dropped: (image_id, reason) of the dropped boxes: of other classes, degenerate, or outside.
    bad_images: (image_id, reason) of the images that are left out, because a file of theirs is
        missing, damaged or malformed.

    Raises DataError if the root or a list is missing, or if no box is left; ValueError for others.
    """

    def __init__(
        self,
        root: str,
        splits: Sequence[str],
        class_names: Names = None,
        difficult: str = "ignore",
        masks: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if difficult not in POLICIES:
            raise ValueError(
                f"difficult: expected one of {', '.join(POLICIES)}, found {difficult!r}"
            )
        if isinstance(splits, str) or not splits:
            raise ValueError(f"splits: expected a list such as ['trainval'], found {splits!r}")
        self.class_names = given_classes(class_names) or VOC_CLASSES
        self.difficult = difficult
        self._has_masks, self._max_pixels = masks, max_pixels
        self._numbers: List[Tuple[List[int], int]] = []  # of the kept objects, and how many all are
        self.dropped: Faults = []
        self.bad_images: Faults = []
        self._annotations: List[Annotation] = []
        self._images: List[Path] = []
        self._object_places: List[List[str]] = []
        self._found_names: Set[str] = set()
        folder = Path(root).expanduser()
        check_folder(folder, "root")
        places = _places(folder, splits, "Segmentation" if masks else "Main")
        for image_id, place in places.items():
            try:
                self._read(image_id, place)
            except (DataError, ImageError) as error:
                self.bad_images.append((image_id, str(error)))
        if not any(len(annotation.labels) for annotation in self._annotations):
            raise DataError(
                f"{root}: expected usable objects in {', '.join(splits)}, found none; "
                f"{summary(len(self), self.bad_images, self.dropped)}. "
                f"Classes in the data: {', '.join(sorted(self._found_names)) or 'none'}; "
                f"class_names: {', '.join(self.class_names)}"
            )

    def __len__(self) -> int:
        return len(self._annotations)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of an image."""
        return self._annotations[index]

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB. Raises ImageError if it cannot be decoded."""
        size = self._annotations[index].width, self._annotations[index].height
        return decode_image(self._images[index], self._max_pixels, size)

    def reduced_image(self, index: int, factor: int) -> Optional[np.ndarray]:
        """Returns the image in 1 / factor of its size, or None; see decode_reduced."""
        size = self._annotations[index].width, self._annotations[index].height
        return decode_reduced(self._images[index], factor, size, self._max_pixels)

    def image_path(self, index: int) -> Path:
        """Returns the file of an image."""
        return self._images[index]

    def places(self, index: int) -> List[str]:
        """Returns the place of each object of an image in its XML file."""
        return self._object_places[index]

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns masks (G, H, W) uint8 of 0 and 1; None unless they are asked for.

        Raises the DataError of `read_masks`.
        """
        if not self._has_masks:
            return None
        path, annotation = _mask_path(self._images[index]), self._annotations[index]
        size = annotation.width, annotation.height
        return read_masks(path, size, *self._numbers[index], self._max_pixels)

    def _read(self, image_id: str, place: Place) -> None:
        """Adds an image. Raises DataError or ImageError if a file of it cannot be used."""
        if not is_file(place.xml):
            raise DataError(f"{place.xml}: no such file")
        root = read_xml(place.xml)
        image = _image_path(place, root)
        check_image_file(image)
        if self._has_masks and not is_file(_mask_path(image)):
            raise DataError(f"{_mask_path(image)}: no such file")
        width, height = stated_size(root) or decode_image(image, self._max_pixels).shape[1::-1]
        nodes = root.findall("object")
        places = [f"{place.xml}: object {number}" for number in range(1, len(nodes) + 1)]
        corners = [corners_of(*each) for each in zip(nodes, places)]  # before any object is dropped
        objects = [
            self._object(image_id, *each, width, height) for each in zip(places, nodes, corners)
        ]
        kept = [thing for thing in objects if thing]
        numbers = [number for number, thing in enumerate(objects, 1) if thing]
        self._numbers.append((numbers, len(objects)))
        self._images.append(image)
        self._object_places.append([places[number - 1] for number in numbers])
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
        self,
        image_id: str,
        where: str,
        node: Element,
        corners: Sequence[float],
        width: int,
        height: int,
    ) -> Optional[Tuple[np.ndarray, int, bool]]:
        """Returns (box, label, difficult) of an <object>; None if it is dropped."""
        name, difficult = name_of(node), is_difficult(node)
        self._found_names.add(name)
        fault = _fault(corners, width, height)
        if name not in self.class_names:
            fault = unknown_class(name, self.class_names)
        elif difficult and self.difficult == "drop":
            fault = "it is marked difficult"
        if fault:
            self.dropped.append((image_id, f'{where}: "{name}": {fault}'))
            return None
        box = np.clip(np.subtract(corners, (1, 1, 0, 0)), 0, [width, height] * 2)
        return box, self.class_names.index(name), difficult and self.difficult == "ignore"


def _places(root: Path, splits: Sequence[str], lists: str) -> Dict[str, Place]:
    """Returns {image_id: place}; an id is the file's stem, after its folder if stems repeat."""
    places: List[Place] = []
    for split in splits:
        folder, name = (root / split).parent, (root / split).name
        file = folder / "ImageSets" / lists / f"{name}.txt"
        for line in text_lines(file, f"the list of the split {split!r}"):
            if not line.strip():
                continue
            place = Place(folder, CLASS_COLUMN.sub("", line.strip()))
            path_below(folder / "Annotations", place.name, str(file))
            places.append(place)
    places = list(dict.fromkeys(places))
    stems = [place.name for place in places]
    if len(set(stems)) == len(stems):
        return dict(zip(stems, places))
    return {f"{os.path.relpath(place.folder, root)}/{place.name}": place for place in places}


def _mask_path(image: Path) -> Path:
    return image.parent.parent / "SegmentationObject" / f"{image.stem}.png"


def _image_path(place: Place, root: Element) -> Path:
    """Returns the file named like the annotation, or else the file that <filename> names.

    The annotation's name comes first, because <filename> is often stale after a dataset was
    renumbered.
    """
    folder = place.folder / "JPEGImages"
    for suffix in IMAGE_SUFFIXES:
        if is_file(folder / f"{place.name}{suffix}"):
            return folder / f"{place.name}{suffix}"
    tagged = tagged_name(root)
    if tagged and is_file(folder / tagged):
        return folder / tagged
    return folder / f"{place.name}{IMAGE_SUFFIXES[0]}"


def _fault(corners: Sequence[float], width: int, height: int) -> Optional[str]:
    """Returns the reason why a box of an image of this size is dropped, or None."""
    xmin, ymin, xmax, ymax = corners
    numbers = f"box {xmin:g} {ymin:g} {xmax:g} {ymax:g}"
    if not all(map(math.isfinite, corners)):
        return f"{numbers} is not finite"
    if xmax <= xmin or ymax <= ymin:
        return f"{numbers} has no area"
    if xmax <= 0 or ymax <= 0 or xmin - 1 >= width or ymin - 1 >= height:
        return f"{numbers} lies outside the image of {width} x {height} pixels"
    return None

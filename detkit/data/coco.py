"""COCO's layout: one JSON file of images, categories and annotations, and a folder of images.

What the file says is checked before the first step. A file that is not what it should be is an
error with the place in it; an object that cannot be used is left out and recorded.
"""

import json
import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from detkit import segmentations
from detkit.data.images import check_image_file, decode_image
from detkit.data.sample import Annotation
from detkit.errors import DataError, ImageError
from detkit.registry import DATASETS
from detkit.segmentations import Segmentation, is_number, parse_segmentation

PARTS = ("images", "annotations", "categories")
LISTED = 5
LARGEST_SIDE = 2**20  # pixels; OpenCV decodes no larger image

ImageId = Union[int, str]


class Object(NamedTuple):
    """One annotation that can be used."""

    box: Tuple[float, float, float, float]
    label: int
    crowd: bool
    segmentation: Optional[Segmentation]
    area: float


class Place(NamedTuple):
    """What the file says of an image."""

    path: Path
    width: int
    height: int


@DATASETS.register()
class COCO:
    """The images of a file like COCO's instances_train2017.json (Lin et al. 2014).

    annotations: the path of the file.
    images: the folder that its file names begin in.

    The classes are the file's categories in the order of their ids, which ``category_ids`` keeps.
    An image's id is the file's. Boxes x y w h become x1 y1 x2 y2, clipped to the image. Crowds
    (``iscrowd``) are difficult objects: not trained on, and what is detected in them counts
    neither for nor against.

    dropped: (image_id, reason) of the objects left out: without area, outside, without outline.
    bad_images: (image_id, reason) of the images left out because their file is no whole image.

    Raises DataError when the file or images are missing, when the file is malformed or refers to
    what it does not hold, or when no object is left that is not a crowd.
    """

    def __init__(self, annotations: str, images: str):
        self._file = Path(annotations).expanduser()
        content = _content(self._file)
        self.category_ids, self.class_names = _categories(self._file, content["categories"])
        self._labels = {category: label for label, category in enumerate(self.category_ids)}
        self.dropped: List[Tuple[ImageId, str]] = []
        self.bad_images: List[Tuple[ImageId, str]] = []
        self._objects: List[List[Object]] = []
        self._annotations: List[Annotation] = []
        self._places: List[Place] = []
        places = _places(self._file, content["images"], Path(images).expanduser())
        self._read(places, content["annotations"])
        if not any((~annotation.difficult).any() for annotation in self._annotations):
            raise DataError(
                f"{self._file}: no object can be used: {len(places)} images, of which "
                f"{len(self.bad_images)} are unusable, {len(content['annotations'])} annotations "
                f"and {len(self.dropped)} dropped objects"
            )
        objects = (thing for objects in self._objects for thing in objects)
        self._has_masks = any(thing.segmentation is not None for thing in objects)

    def __len__(self) -> int:
        return len(self._annotations)

    def annotation(self, index: int) -> Annotation:
        """The objects of an image; crowds are difficult."""
        return self._annotations[index]

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises ImageError when the file cannot be decoded."""
        return decode_image(self._places[index].path)

    def masks(self, index: int) -> Optional[np.ndarray]:
        """(G, H, W) uint8 of 0 and 1; None where no object of the file has a segmentation.

        Raises DataError where only some have one.
        """
        if not self._has_masks:
            return None
        place, objects = self._places[index], self._objects[index]
        decoded = np.zeros((len(objects), place.height, place.width), np.uint8)
        for thing, mask in zip(objects, decoded):
            if thing.segmentation is None:
                raise DataError(
                    f"{self._file}: an object of the image {self._annotations[index].image_id!r} "
                    "has no segmentation, others have: masks of all are needed, or of none"
                )
            mask[:] = segmentations.decode(thing.segmentation, place.height, place.width)
        return decoded

    def _read(self, places: Dict[ImageId, Place], entries: List[Any]) -> None:
        objects: Dict[ImageId, List[Object]] = {image_id: [] for image_id in places}
        for index, entry in enumerate(entries):
            where = f"{self._file}: annotations[{index}]"
            image_id = _field(where, entry, "image_id", (int, str))
            if image_id not in places:
                raise DataError(f"{where}: image_id {image_id!r} is not one of the file's images")
            thing = self._object(where, entry, image_id, places[image_id])
            if thing is not None:
                objects[image_id].append(thing)
        for image_id, place in places.items():
            try:
                check_image_file(place.path)
            except ImageError as error:
                self.bad_images.append((image_id, str(error)))
                continue
            self._places.append(place)
            self._objects.append(objects[image_id])
            self._annotations.append(_annotation(image_id, place, objects[image_id]))

    def _object(
        self, where: str, entry: Dict[str, Any], image_id: ImageId, place: Place
    ) -> Optional[Object]:
        """What an annotation says; None if it is dropped."""
        category = _field(where, entry, "category_id", (int,))
        if category not in self._labels:
            raise DataError(
                f"{where}: category_id {category!r} is not one of the file's categories"
            )
        label = self._labels[category]
        box = _field(where, entry, "bbox", (list,))
        if len(box) != 4 or not all(map(is_number, box)):
            raise DataError(f"{where}: bbox is {box!r}, expected four numbers x, y, width, height")
        segmentation = entry.get("segmentation") or None
        if segmentation is not None:
            try:
                segmentation = parse_segmentation(segmentation, place.height, place.width)
            except ValueError as error:
                raise DataError(f"{where} of the image {image_id!r}: {error}") from error
        fault = _fault(box, segmentation, place)
        if fault:
            self.dropped.append((image_id, f'"{self.class_names[label]}": {fault}'))
            return None
        x, y, width, height = box
        corners = np.clip((x, y, x + width, y + height), 0, (place.width, place.height) * 2)
        area = entry.get("area")
        usable = is_number(area) and 0 <= area < math.inf
        area = float(area) if usable else width * height
        return Object(tuple(corners), label, bool(entry.get("iscrowd", 0)), segmentation, area)


def _content(file: Path) -> Dict[str, List[Any]]:
    """The file's three lists."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file}: annotations cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: malformed JSON: {error.msg}") from error
    # Text that is not UTF-8, and lists within lists without end.
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not a JSON file: {error}") from error
    lists = isinstance(content, dict) and all(isinstance(content.get(p), list) for p in PARTS)
    if not lists:
        keys = ", ".join(map(repr, content)) if isinstance(content, dict) else "no object at all"
        raise DataError(f"{file}: expected an object with lists {', '.join(PARTS)}, found {keys}")
    return content


def _categories(file: Path, entries: List[Any]) -> Tuple[Tuple[int, ...], Tuple[str, ...]]:
    """(ids, names) in the order of the ids."""
    names: Dict[int, str] = {}
    for index, entry in enumerate(entries):
        where = f"{file}: categories[{index}]"
        category, name = _field(where, entry, "id", (int,)), _field(where, entry, "name", (str,))
        if category in names or name in names.values():
            raise DataError(f"{where}: the id {category!r} or the name {name!r} is there twice")
        names[category] = name
    if not names:
        raise DataError(f"{file}: has no categories, expected at least one")
    ids = tuple(sorted(names))
    return ids, tuple(names[category] for category in ids)


def _places(file: Path, entries: List[Any], folder: Path) -> Dict[ImageId, Place]:
    """{id: place} of every image. Raises DataError where files are missing."""
    places: Dict[ImageId, Place] = {}
    for index, entry in enumerate(entries):
        where = f"{file}: images[{index}]"
        image_id = _field(where, entry, "id", (int, str))
        if image_id in places:
            raise DataError(f"{where}: the id {image_id!r} is there twice")
        width, height = (_field(where, entry, side, (int,)) for side in ("width", "height"))
        if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
            raise DataError(f"{where}: {width} x {height} pixels is no image's size")
        path = folder / _field(where, entry, "file_name", (str,))
        places[image_id] = Place(path, width, height)
    missing = [str(place.path) for place in places.values() if not place.path.is_file()]
    if missing:
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        raise DataError(
            f"{file}: {len(missing)} of {len(places)} images are missing: "
            f"{', '.join(missing[:LISTED])}{more}; is {folder} the right folder?"
        )
    return places


def _field(where: str, entry: Any, key: str, kinds: Tuple[type, ...]) -> Any:
    """``entry[key]``, of one of these types."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, found {type(entry).__name__}")
    if type(entry.get(key)) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        found = repr(entry[key]) if key in entry else "nothing"
        raise DataError(f"{where}: {key} is {found}, expected {expected}")
    return entry[key]


def _fault(box: List[float], segmentation: Optional[Segmentation], place: Place):
    """Why an object cannot be used, or None."""
    x, y, width, height = box
    numbers = f"box {x:g} {y:g} {width:g} {height:g}"
    if not all(map(math.isfinite, box)):
        return f"{numbers} is not finite"
    if width <= 0 or height <= 0:
        return f"{numbers} has no area"
    if x >= place.width or y >= place.height or x + width <= 0 or y + height <= 0:
        return f"{numbers} lies outside the image of {place.width} x {place.height} pixels"
    if segmentation is not None and not segmentation:
        return "its polygons have less than three corners"
    return None


def _annotation(image_id: ImageId, place: Place, objects: List[Object]) -> Annotation:
    return Annotation(
        image_id=image_id,
        width=place.width,
        height=place.height,
        boxes=np.array([thing.box for thing in objects], np.float32).reshape(-1, 4),
        labels=np.array([thing.label for thing in objects], np.int32),
        difficult=np.array([thing.crowd for thing in objects], bool),
        areas=np.array([thing.area for thing in objects], np.float32),
    )

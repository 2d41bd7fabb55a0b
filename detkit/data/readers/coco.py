"""Reads COCO's layout: one JSON file of images, categories and annotations, and a folder of images.

The file is checked before the first step. An object that cannot be used is dropped, and an image
that cannot be used, or whose annotation is malformed, is left out; all of them are recorded.
"""

import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from detkit.data.images import MAX_PIXELS
from detkit.data.keypoints import Keypoints, check_field, order_of_sides
from detkit.data.readers.coco_images import (
    Choice,
    ImageFolder,
    ImageSource,
    Place,
    categories_of,
    chosen_classes,
    chosen_images,
    places_of,
    read_content,
)
from detkit.data.readers.coco_keypoints import keypoints_fault, names_of, points_of, stacked
from detkit.data.readers.files import field
from detkit.data.readers.lists import Names, unknown_class
from detkit.data.readers.masks import decode_masks
from detkit.data.readers.records import summary
from detkit.data.sample import Annotation, Faults, ImageId
from detkit.errors import DataError, ImageError
from detkit.registry import DATASETS
from detkit.segmentations import Segmentation, is_number, parse_segmentation
from detkit.wording import first_few


class Object(NamedTuple):
    """One annotation that can be used, with its number in the file."""

    number: int
    box: Tuple[float, float, float, float]
    label: int
    crowd: bool
    segmentation: Optional[Segmentation]
    area: float
    points: Optional[np.ndarray]  # of its keypoints, (J, 3)


class COCOFile:
    """The images and objects of a file in COCO's format, wherever the images are.

    file: the path of the file. source: what holds the images. choice: what is read of them.

    Its attributes and errors are those of COCO.
    """

    def __init__(self, file: Path, source: ImageSource, choice: Choice) -> None:
        self._file, self._source, self._max_pixels = file, source, choice.max_pixels
        content = read_content(file)
        self._categories = categories_of(file, content["categories"])
        self.class_names = chosen_classes(file, self._categories, choice.class_names)
        ids = {name: category for category, name in self._categories.items()}
        self.category_ids = tuple(ids[name] for name in self.class_names)
        self.keypoint_names = names_of(content["categories"], str(file))
        self._labels = {category: label for label, category in enumerate(self.category_ids)}
        self._others = {
            category: unknown_class(name, self.class_names)
            for category, name in self._categories.items()
            if category not in self._labels
        }
        self.dropped: Faults = []
        self.bad_images: Faults = []
        self._objects: List[List[Object]] = []
        self._annotations: List[Annotation] = []
        self._places: List[Place] = []
        places = places_of(file, content["images"], source, choice.max_pixels, self.bad_images)
        source.require(file, places.values())
        chosen = chosen_images(file, places, choice.image_list, choice.image_part)
        self._read(places, chosen, content["annotations"])
        if not any((~annotation.difficult).any() for annotation in self._annotations):
            raise DataError(
                f"{file}: expected usable objects, found none; "
                f"{summary(len(self), self.bad_images, self.dropped)}"
            )
        objects = (thing for objects in self._objects for thing in objects)
        self._has_masks = any(thing.segmentation is not None for thing in objects)

    def __len__(self) -> int:
        return len(self._annotations)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of an image; crowds are difficult."""
        return self._annotations[index]

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB. Raises ImageError if it cannot be decoded."""
        return self._source.decode(self._places[index], self._max_pixels)

    def reduced_image(self, index: int, factor: int) -> Optional[np.ndarray]:
        """Returns the image in 1 / factor of its size, or None; see decode_reduced."""
        return self._source.reduced(self._places[index], factor, self._max_pixels)

    def places(self, index: int) -> List[str]:
        """Returns the place of each object of an image in the file."""
        return [self._where(thing.number) for thing in self._objects[index]]

    def segmentations(self, index: int) -> List[Optional[Segmentation]]:
        """Returns the segmentation of each object, None for an object without one."""
        return [thing.segmentation for thing in self._objects[index]]

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns masks (G, H, W) uint8 of 0 and 1; None if no object of the file has one.

        The mask of an object without a segmentation is its box. Raises the DataError of
        `decode_masks`.
        """
        if not self._has_masks:
            return None
        annotation = self._annotations[index]
        where = f"{self._file}: image {annotation.image_id!r}"
        return decode_masks(annotation, self.segmentations(index), self._max_pixels, where)

    def field(self, name: str, index: int) -> Keypoints:
        """Returns the Keypoints of the objects of an image. Raises DataError for other fields."""
        check_field(self, name, self.keypoint_names)
        names, objects = self.keypoint_names, self._objects[index]
        points = stacked([thing.points for thing in objects], len(names))
        return Keypoints(points, [order_of_sides(names)] * 2)

    def _read(
        self, places: Dict[ImageId, Place], chosen: List[ImageId], entries: List[Any]
    ) -> None:
        by_image: Dict[ImageId, List[Object]] = {image_id: [] for image_id in chosen}
        malformed: Dict[ImageId, List[str]] = {}
        known = {*places, *(image_id for image_id, _ in self.bad_images)}
        for index, entry in enumerate(entries):
            image_id = self._image_of(index, entry, known)
            if image_id is None or image_id not in by_image:
                continue
            try:
                thing = self._object(index, entry, image_id, places[image_id])
            except DataError as error:
                malformed.setdefault(image_id, []).append(str(error))
                continue
            by_image[image_id] += [thing] if thing else []
        self._keep(places, by_image, malformed)

    def _keep(
        self,
        places: Dict[ImageId, Place],
        by_image: Dict[ImageId, List[Object]],
        malformed: Dict[ImageId, List[str]],
    ) -> None:
        """Adds the images whose files are whole and whose annotations are well-formed."""
        self.dropped = [fault for fault in self.dropped if fault[0] not in malformed]
        for image_id, objects in by_image.items():
            try:
                if image_id in malformed:
                    raise DataError(first_few(malformed[image_id], 3))
                self._source.check(places[image_id])
            except (DataError, ImageError) as error:
                self.bad_images.append((image_id, str(error)))
                continue
            self._places.append(places[image_id])
            self._objects.append(objects)
            self._annotations.append(_annotation(image_id, places[image_id], objects))

    def _image_of(self, index: int, entry: Any, known: Set[ImageId]) -> Optional[ImageId]:
        """Returns the image of an annotation; None if it names none, so that it is dropped."""
        where = self._where(index)
        try:
            image_id: ImageId = field(where, entry, "image_id", (int, str))
            if image_id not in known:
                raise DataError(
                    f"{where}.image_id: expected the id of an image of the file, found {image_id!r}"
                )
        except DataError as error:
            self.dropped.append((f"annotations[{index}]", str(error)))
            return None
        return image_id

    def _object(
        self, number: int, entry: Dict[str, Any], image_id: ImageId, place: Place
    ) -> Optional[Object]:
        """Returns the object of an annotation; None if it is dropped. Raises DataError."""
        where = self._where(number)
        category = field(where, entry, "category_id", (int,))
        if category in self._others:
            self.dropped.append((image_id, self._others[category]))
            return None
        box = field(where, entry, "bbox", (list,))
        if len(box) != 4 or not all(map(is_number, box)):
            raise DataError(f"{where}.bbox: expected numbers x, y, width, height, found {box!r}")
        count, keypoints = len(self.keypoint_names), entry.get("keypoints")
        reach = max(place.width, place.height)
        segmentation = None
        try:
            if category not in self._labels:
                raise ValueError(f"category_id: expected that of a category, found {category!r}")
            if entry.get("segmentation"):
                value = entry["segmentation"]
                segmentation = parse_segmentation(value, place.height, place.width)
            fault = _fault(box, segmentation, place) or keypoints_fault(keypoints, count, reach)
        except ValueError as error:
            fault = str(error)
        if fault:
            named = f': "{self._categories[category]}"' if category in self._categories else ""
            self.dropped.append((image_id, f"{where}{named}: {fault}"))
            return None
        x, y, width, height = box
        corners = np.clip((x, y, x + width, y + height), 0, (place.width, place.height) * 2)
        crowd = bool(entry.get("iscrowd", 0))
        area = _area(entry.get("area"), width * height)
        points = points_of(keypoints, count)
        label = self._labels[category]
        return Object(number, tuple(corners), label, crowd, segmentation, area, points)

    def _where(self, number: int) -> str:
        return f"{self._file}: annotations[{number}]"


@DATASETS.register()
class COCO(COCOFile):
    """The images of a file like COCO's instances_train2017.json (Lin et al. 2014).

    annotations: the path of the file.
    images: the folder of the images, below which every ``file_name`` lies.
    class_names: the K names of the categories that are read, in the order of their labels, or the
        path of a text file with one name per line; null for all, in the order of their ids.
    image_list: the path of a text file of the ``file_name`` of the images that are read, one per
        line; null for all.
    image_part: [begin, end], a share of these images that their names draw, see ``part_of``; null
        for all.
    max_pixels: the largest number of pixels of an image; ``data.max_pixels`` of the config.

    The ids of the categories are ``category_ids``. An image has the file's id. Boxes x y w h become
    x1 y1 x2 y2 and are clipped to the image. Crowds (``iscrowd``) are difficult objects: training
    ignores them, and so does the evaluation of detections within them.

    keypoint_names: the names of the J keypoints of an object; empty without keypoints.
    dropped: (image_id, reason) of the dropped objects: of other classes, degenerate, outside, of a
        malformed outline or malformed keypoints. Annotations that name no image or category of the
        file are dropped, too.
    bad_images: (image_id, reason) of the images that are left out, because their file is missing or
        damaged or their entry or an annotation of theirs is malformed.

    Raises DataError if the file is malformed as a whole, if none of the images is in the folder, or
    if no object is left that is not a crowd.
    """

    def __init__(
        self,
        annotations: str,
        images: str,
        class_names: Names = None,
        image_list: Optional[str] = None,
        image_part: Optional[Sequence[float]] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._folder = ImageFolder(Path(images).expanduser())
        choice = Choice(class_names, image_list, image_part, max_pixels)
        super().__init__(Path(annotations).expanduser(), self._folder, choice)

    def image_path(self, index: int) -> Path:
        """Returns the file of an image."""
        return self._folder.path(self._places[index])


def _area(value: Any, area_of_box: float) -> float:
    """Returns an annotation's ``area``, or the area of its box if it states none that is usable."""
    usable = is_number(value) and 0 <= value < math.inf
    return float(value) if usable else area_of_box


def _fault(box: List[float], segmentation: Optional[Segmentation], place: Place) -> Optional[str]:
    """Returns the reason why an object is dropped, or None."""
    x, y, width, height = box
    numbers = f"box {x:g} {y:g} {width:g} {height:g}"
    if not all(map(math.isfinite, box)):
        return f"{numbers} is not finite"
    if width <= 0 or height <= 0:
        return f"{numbers} has no area"
    if x >= place.width or y >= place.height or x + width <= 0 or y + height <= 0:
        return f"{numbers} lies outside the image of {place.width} x {place.height} pixels"
    if segmentation is not None and not segmentation:
        return "its polygons have fewer than three corners"
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

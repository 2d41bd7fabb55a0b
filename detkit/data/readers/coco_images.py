"""The images and categories of a file in COCO's format, without the annotations."""

from pathlib import Path
from typing import Any, Collection, Dict, List, NamedTuple, Optional, Protocol, Sequence, Set, Tuple

import numpy as np

from detkit.data.images import check_image_file, decode_image, decode_reduced
from detkit.data.names import (
    check_folder,
    check_pixels,
    check_text,
    is_file,
    path_below,
    relative_to,
)
from detkit.data.readers.files import field, read_json
from detkit.data.readers.lists import Names, given_classes, listed_images, part_of
from detkit.data.sample import Faults, ImageId
from detkit.errors import DataError
from detkit.wording import first_few, the_nearest

PARTS = ("images", "annotations", "categories")


class Place(NamedTuple):
    """An image of the file: its number in the list, its ``file_name`` and its size in pixels.

    record: the key of its record, see RecordIO; None if the file states none.
    """

    number: int
    name: str
    width: int
    height: int
    record: Optional[int] = None


class Choice(NamedTuple):
    """The arguments that COCO and RecordIO share, see COCO."""

    class_names: Names
    image_list: Optional[str]
    image_part: Optional[Sequence[float]]
    max_pixels: int


class ImageSource(Protocol):
    """The protocol of what holds the files of images."""

    def check_place(self, place: Place, where: str) -> None:
        """Raises DataError for an image that cannot be in it, because of its name or its key.

        where: the place of the image's entry in the file of annotations.
        """

    def require(self, file: Path, places: Collection[Place]) -> None:
        """Raises DataError unless at least one of the images is there.

        file: the file of annotations, which names them.
        """

    def check(self, place: Place) -> None:
        """Raises DataError or ImageError unless an image is there, and begins and ends as one."""

    def decode(self, place: Place, max_pixels: int) -> np.ndarray:
        """Returns an image (H, W, 3) uint8 RGB. Raises ImageError."""

    def reduced(self, place: Place, factor: int, max_pixels: int) -> Optional[np.ndarray]:
        """Returns an image in 1 / factor of its size, or None; see decode_reduced."""


class ImageFolder:
    """An ImageSource: the files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, place: Place) -> Path:
        """Returns the path of an image. Raises DataError for one outside of the folder."""
        return path_below(self._folder, place.name, "file_name")

    def check_place(self, place: Place, where: str) -> None:
        """Raises DataError for a path outside of the folder, see ImageSource."""
        path_below(self._folder, place.name, f"{where}.file_name")

    def require(self, file: Path, places: Collection[Place]) -> None:
        """Raises DataError if the folder is not there, or has none of the images of the file."""
        check_folder(self._folder, "images")
        paths = [self.path(place) for place in places]
        if paths and not any(map(is_file, paths)):
            raise DataError(
                f"images: expected the {len(paths)} images of {file}, found none of them in "
                f"{self._folder}{relative_to(self._folder)}; the first is {paths[0]}; correct the "
                "folder"
            )

    def check(self, place: Place) -> None:
        """Raises DataError or ImageError, see ImageSource."""
        path = self.path(place)
        if not is_file(path):  # also a name that no file can have
            raise DataError(f"{path}: no such file")
        check_image_file(path)

    def decode(self, place: Place, max_pixels: int) -> np.ndarray:
        """Returns an image, see ImageSource."""
        return decode_image(self.path(place), max_pixels, (place.width, place.height))

    def reduced(self, place: Place, factor: int, max_pixels: int) -> Optional[np.ndarray]:
        """Returns a smaller image or None, see ImageSource."""
        return decode_reduced(self.path(place), factor, (place.width, place.height), max_pixels)


def read_content(file: Path) -> Dict[str, List[Any]]:
    """Returns the file's three lists."""
    content = read_json(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in PARTS):
        found = f"keys {first_few(list(content))}" if isinstance(content, dict) else "no object"
        raise DataError(f"{file}: expected an object with lists {', '.join(PARTS)}, found {found}")
    return content


def categories_of(file: Path, entries: List[Any]) -> Dict[int, str]:
    """Returns {id: name} in the order of the ids."""
    names: Dict[int, str] = {}
    taken: Set[str] = set()
    for index, entry in enumerate(entries):
        where = f"{file}: categories[{index}]"
        category, name = field(where, entry, "id", (int,)), field(where, entry, "name", (str,))
        check_text(name, f"{where}.name")
        if category in names or name in taken:
            raise DataError(
                f"{where}: expected an id and a name that no other category has, found the id "
                f"{category!r} and the name {name!r}"
            )
        names[category] = name
        taken.add(name)
    if not names:
        raise DataError(f"{file}: categories: expected at least one, found none")
    return {category: names[category] for category in sorted(names)}


def chosen_classes(file: Path, categories: Dict[int, str], given: Names) -> Tuple[str, ...]:
    """Returns the class names of the config, or all. Raises DataError for one without category."""
    names = given_classes(given) or tuple(categories.values())
    for name in names:
        if name not in categories.values():
            raise DataError(
                f"{file}: categories: expected each of class_names, found no {name!r}"
                f"{the_nearest(name, categories.values())}"
            )
    return names


def places_of(
    file: Path, entries: List[Any], source: ImageSource, max_pixels: int, faults: Faults
) -> Dict[ImageId, Place]:
    """Returns {image_id: place} of every image that is well-formed.

    The others are added to ``faults``, by their id, or by their place in the file if they have
    none. Raises DataError for an id that several images have: their annotations would be mixed.
    """
    places: Dict[ImageId, Place] = {}
    seen: Set[ImageId] = set()
    for index, entry in enumerate(entries):
        where = f"{file}: images[{index}]"
        try:
            image_id = field(where, entry, "id", (int, str))
            check_text(image_id, f"{where}.id")
        except DataError as error:
            faults.append((f"images[{index}]", str(error)))
            continue
        if image_id in seen:
            raise DataError(
                f"{where}.id: expected an id that no other image has, found {image_id!r}"
            )
        seen.add(image_id)
        try:
            place = _place(index, entry, where, max_pixels)
            source.check_place(place, where)
            places[image_id] = place
        except DataError as error:
            faults.append((image_id, str(error)))
    return places


def _place(number: int, entry: Any, where: str, max_pixels: int) -> Place:
    width, height = (field(where, entry, side, (int,)) for side in ("width", "height"))
    check_pixels(width, height, max_pixels, where)
    name = field(where, entry, "file_name", (str,))
    check_text(name, f"{where}.file_name")
    record = entry.get("record")
    return Place(number, name, width, height, record if type(record) is int else None)


def chosen_images(
    file: Path,
    places: Dict[ImageId, Place],
    image_list: Optional[str],
    image_part: Optional[Sequence[float]],
) -> List[ImageId]:
    """Returns the ids of the images that the list names by their ``file_name``, or all.

    image_part: which of these images are taken, see ``part_of``; None for all.
    """
    names = {place.name for place in places.values()}
    if image_list is not None:
        names = listed_images(image_list, names, str(file))
    if image_part is not None:
        names = part_of(names, image_part, str(file))
    return [image_id for image_id, place in places.items() if place.name in names]

"""Reads JSON lines: a text file with an object for each image, in detkit's own keys.

    {"image": "a.jpg", "width": 640, "height": 480, "objects": [
        {"class": "cat", "box": [10, 20, 300, 400], "polygons": [[10, 20, ...]]}]}

Programs that make data write this format most easily. Each image is one line of the file.
"""

import json
import reprlib
from pathlib import Path
from typing import Any, List, Optional

from detkit.data.images import MAX_PIXELS
from detkit.data.names import check_folder, check_text
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import field, image_named
from detkit.data.readers.lists import Names, text_lines
from detkit.data.readers.records import Record, Thing, class_name
from detkit.errors import DataError
from detkit.registry import DATASETS
from detkit.segmentations import is_number
from detkit.wording import the_nearest

IMAGE_KEYS = ("image", "width", "height", "objects")
OBJECT_KEYS = ("class", "box", "polygons", "difficult")


@DATASETS.register()
class JSONLines(FileDataset):
    """The images of a file of JSON lines.

    annotations: the path of the file. A line has the key "image", the file's name, perhaps "width"
        and "height" in pixels, and "objects", a list. An object has "class", a name, "box", x1 y1
        x2 y2 in pixels, or "polygons", lists of x y x y ..., or both, and perhaps "difficult".
    images: the folder of the images; null: that of the file.
    class_names: as for every reader, see FileDataset; null: the classes in the data, sorted.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    Without "box", the box is the one around the polygons.

    Raises DataError if the file cannot be read, or if no object is left.
    """

    def __init__(
        self,
        annotations: str,
        images: Optional[str] = None,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        file = Path(annotations).expanduser()
        folder = file.parent if images is None else Path(images).expanduser()
        check_folder(folder, "images")
        records = [
            _record(line, f"{file}:{index}", folder)
            for index, line in enumerate(text_lines(file, "a JSON object in each line"), 1)
            if line.strip()
        ]
        super().__init__(file, records, None, Options(class_names, image_list, max_pixels))


def _record(line: str, where: str, folder: Path) -> Record:
    try:
        entry = json.loads(line)
        name, path = image_named(folder, field(where, entry, "image", (str,)), f"{where}.image")
        check_text(name, f"{where}.image")
    except DataError as error:
        return Record(where, folder, fault=str(error))
    except (ValueError, RecursionError) as error:
        return Record(where, folder, fault=f"{where}: malformed JSON: {error}")
    try:
        _check_keys(where, entry, IMAGE_KEYS)
        objects = field(where, entry, "objects", (list,))
        things = [_thing(f"{where}.objects[{i}]", each) for i, each in enumerate(objects)]
    except DataError as error:
        return Record(name, path, fault=str(error))
    sides = entry.get("width"), entry.get("height")
    size = sides if all(type(side) is int and side > 0 for side in sides) else None
    return Record(name, path, things, size=size)


def _check_keys(where: str, entry: Any, known: tuple) -> None:
    """Raises DataError for a key that is not known: it may be a known one, misspelt."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, found {type(entry).__name__}")
    for key in entry:
        if key not in known:
            raise DataError(
                f"{where}: expected the keys {', '.join(known)}, found {key!r:.80}"
                f"{the_nearest(key, known)}"
            )


def _thing(where: str, entry: Any) -> Thing:
    """Returns an object. Raises DataError."""
    _check_keys(where, entry, OBJECT_KEYS)
    name = class_name(field(where, entry, "class", (str,)), f"{where}.class")
    if not {"box", "polygons"} & set(entry):
        raise DataError(f"{where}: expected the key box or polygons, found neither")
    polygons: Optional[List[Any]] = None
    if "polygons" in entry:
        polygons = field(where, entry, "polygons", (list,)) or None
    box = entry.get("box")
    if box is not None:
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            raise DataError(f"{where}.box: expected x1, y1, x2, y2, found {reprlib.repr(box)}")
        box = tuple(map(float, box))
    difficult = entry.get("difficult", False)
    if type(difficult) is not bool:
        raise DataError(f"{where}.difficult: expected true or false, found {difficult!r:.80}")
    return Thing(where, name, box, polygons, difficult)

"""Reads LabelMe's layout, a JSON file for each image (github.com/wkentaro/labelme, 3 to 5).

Rectangles and polygons are read. Polygons of one class with the same ``group_id`` are the parts of
one object. Circles, lines, points and masks of pixels are dropped and counted.
"""

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from detkit.data.images import MAX_PIXELS, SUFFIXES
from detkit.data.names import is_file
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import (
    field,
    files_below,
    image_named,
    name_below,
    read_json,
    require_folder,
)
from detkit.data.readers.lists import Names
from detkit.data.readers.records import Record, Thing, box_around, class_name, points_of
from detkit.errors import DataError
from detkit.registry import DATASETS


@DATASETS.register()
class LabelMe(FileDataset):
    """The images below a folder that have a JSON file of LabelMe's.

    root: the folder; ``imagePath`` of a file is looked for from the file's own folder.
    class_names: as for every reader, see FileDataset; null: the labels in the data, sorted.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    An image without a JSON file is not labelled yet and is no part of the dataset. ``flags:
    {difficult: true}`` of a shape makes the object difficult. ``imageData`` is not read.

    Raises DataError if there is no JSON file, or if no object is left.
    """

    def __init__(
        self,
        root: str,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        folder = Path(root).expanduser()
        files = files_below(require_folder(folder, "JSON files"), (".json",))
        if not files:
            raise DataError(f"{folder}: expected JSON files of LabelMe, found none")
        records = [_record(file, folder) for file in files]
        super().__init__(folder, records, None, Options(class_names, image_list, max_pixels))


def _record(file: Path, folder: Path) -> Record:
    try:
        content = read_json(file)
        shapes = field(str(file), content, "shapes", (list,))
        path = _image(file, content)
        name = name_below(path, folder)
        things = _things(file, shapes)
    except DataError as error:
        return Record(name_below(file, folder), file, fault=str(error))
    sides = content.get("imageWidth"), content.get("imageHeight")
    size = sides if all(type(side) is int and side > 0 for side in sides) else None
    return Record(name, path, things, size=size)


def _image(file: Path, content: Dict[str, Any]) -> Path:
    """Returns the image of a JSON file: that of ``imagePath``, or the one of the file's name."""
    _, path = image_named(file.parent, content.get("imagePath"), f"{file}: imagePath")
    beside = [file.with_suffix(suffix) for suffix in SUFFIXES]
    return path if is_file(path) else next(filter(is_file, beside), path)


def _things(file: Path, shapes: List[Any]) -> List[Thing]:
    things: List[Thing] = []
    groups: Dict[Tuple[str, int], int] = {}  # (class, group_id) -> place in things
    for index, shape in enumerate(shapes):
        thing = _thing(f"{file}: shapes[{index}]", shape)
        key = thing.name, shape.get("group_id")
        if thing.segmentation is None or type(key[1]) is not int:
            things.append(thing)
        elif key in groups:
            whole = things[groups[key]]
            parts = whole.segmentation + thing.segmentation
            things[groups[key]] = whole._replace(segmentation=parts)
        else:
            groups[key] = len(things)
            things.append(thing)
    return things


def _thing(where: str, shape: Any) -> Thing:
    """Returns the object of a shape. Raises DataError for a malformed one."""
    name = class_name(field(where, shape, "label", (str,)), f"{where}.label")
    kind = shape.get("shape_type") or "polygon"  # version 3 wrote none for polygons
    if kind not in ("rectangle", "polygon"):
        return Thing(where, name, fault=f"a {kind!r:.50} is neither a rectangle nor a polygon")
    points = points_of(field(where, shape, "points", (list,)), f"{where}.points")
    flags = shape.get("flags")
    difficult = isinstance(flags, dict) and flags.get("difficult") is True
    if kind == "rectangle":
        if len(points) not in (2, 4):
            raise DataError(f"{where}.points: expected 2 or 4 corners, found {len(points)}")
        return Thing(where, name, box_around(points), difficult=difficult)
    flat = [side for point in points for side in point]
    return Thing(where, name, segmentation=[flat], difficult=difficult)

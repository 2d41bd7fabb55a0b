"""Reads Label Studio's export "JSON": a list of tasks, whose shapes are in per cent of the image.

The format is that of labelstud.io/guide/task_format. Rectangles and polygons are read. Brushes,
ellipses and keypoints are dropped and counted. A task that several people have annotated counts
once: the objects of its first annotation are read, and those of the others are dropped.
"""

import math
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import unquote

from detkit.data.images import MAX_PIXELS, SUFFIXES
from detkit.data.names import check_folder, check_text, is_file
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import field, image_named, read_json
from detkit.data.readers.lists import Names
from detkit.data.readers.records import Corners, Record, Thing, box_around, class_name, points_of
from detkit.errors import DataError
from detkit.registry import DATASETS
from detkit.segmentations import is_number

PER_CENT = 100.0
LARGEST_SIDE = 2**31  # pixels
RECTANGLE = ("x", "y", "width", "height")
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
LABELS = re.compile(r"[a-z]*labels")  # the types of results that have labels; "choices" has none
READ = ("rectanglelabels", "polygonlabels")
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an upload
LOCAL = "?d="  # the path of a file of local storage follows it
DEEPEST = 16  # names at the end of an address that are tried as a path


@DATASETS.register()
class LabelStudio(FileDataset):
    """The images of a JSON export of Label Studio.

    annotations: the path of the file.
    images: the folder of the images. An image is the file of the last name of the task's address,
        or of the last names if it lies in a folder, also without the eight digits that Label Studio
        puts before the name of an upload.
    class_names: as for every reader, see FileDataset; null: the labels in the data, sorted.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.
    predictions: whether the first prediction of a task that nobody has annotated is read, such as
        those that ``detkit label`` writes.

    A rotated rectangle becomes the box around it. A task without annotation is not labelled yet and
    is no part of the dataset; one whose annotation has no result is an image without objects.

    Raises DataError if the file cannot be read, or if no object is left.
    """

    def __init__(
        self,
        annotations: str,
        images: str,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
        predictions: bool = False,
    ) -> None:
        file, folder = Path(annotations).expanduser(), Path(images).expanduser()
        check_folder(folder, "images")
        tasks = read_json(file)
        if not isinstance(tasks, list) or not tasks:
            raise DataError(f"{file}: expected a list of tasks, found {tasks!r:.80}")
        found = (
            _record(task, f"{file}: [{i}]", folder, predictions) for i, task in enumerate(tasks)
        )
        records = [record for record in found if record is not None]
        super().__init__(file, records, None, Options(class_names, image_list, max_pixels))


def _record(task: Any, where: str, folder: Path, predictions: bool) -> Optional[Record]:
    """Returns the Record of a task; None if nobody has annotated it."""
    key = "annotations"
    try:
        data = field(where, task, "data", (dict,))
        done = _done(field(where, task, key, (list,)))
        if predictions and not done and task.get("predictions"):
            key = "predictions"
            done = _done(field(where, task, key, (list,)))[:1]
        if not done:
            return None
        name, path = _image(data, f"{where}.data", folder)
    except DataError as error:
        return Record(where, folder, fault=str(error))
    try:
        things = [
            thing._replace(fault="belongs to another annotation of its task") if later else thing
            for later, (number, each) in enumerate(done)
            for thing in _things(each, f"{where}.{key}[{number}]")
        ]
    except DataError as error:
        return Record(name, path, fault=str(error))
    return Record(name, path, things, relative=True)


def _done(annotations: List[Any]) -> List[Tuple[int, Any]]:
    """Returns (number, annotation) of those that were not cancelled."""
    return [
        (number, each)
        for number, each in enumerate(annotations)
        if not (isinstance(each, dict) and each.get("was_cancelled"))
    ]


def _image(data: Dict[str, Any], where: str, folder: Path) -> Tuple[str, Path]:
    """Returns (name, path) of the image of a task."""
    texts = [data.get("image"), *data.values()]
    addresses = [text for text in texts if isinstance(text, str)]
    addresses = [text for text in addresses if text.lower().endswith(SUFFIXES)]
    if not addresses:
        raise DataError(f"{where}: expected the address of an image, found {data!r:.120}")
    check_text(addresses[0], where)
    parts = unquote(addresses[0].rpartition(LOCAL)[2]).split("/")[-DEEPEST:]
    parts = [part for part in parts if part not in ("", ".", "..")] or [""]
    ends = ["/".join(parts[first:]) for first in range(len(parts))]
    name = next((end for end in ends if is_file(folder / end)), None)
    return image_named(folder, name or UPLOADED.sub("", parts[-1], count=1), where)


def _things(annotation: Any, where: str) -> List[Thing]:
    """Returns the objects of an annotation. Raises DataError."""
    things: List[Thing] = []
    for index, result in enumerate(field(where, annotation, "result", (list,))):
        place = f"{where}.result[{index}]"
        if not isinstance(result, dict):
            raise DataError(f"{place}: expected an object, found {type(result).__name__}")
        kind = result.get("type")
        if not isinstance(kind, str) or not LABELS.fullmatch(kind):
            continue  # a choice or a text about the whole image
        value = field(place, result, "value", (dict,))
        for text in field(f"{place}.value", value, kind, (list,)):
            things.append(_thing(place, class_name(text, f"{place}.value.{kind}"), kind, result))
    return things


def _thing(where: str, name: str, kind: str, result: Dict[str, Any]) -> Thing:
    value = result["value"]
    if kind == "rectanglelabels":
        return Thing(where, name, _box(value, result, f"{where}.value"))
    if kind == "polygonlabels":
        points = points_of(value.get("points"), f"{where}.value.points")
        shares = [side / PER_CENT for point in points for side in point]
        return Thing(where, name, segmentation=[shares])
    return Thing(where, name, fault=f"{kind!r} are neither rectangles nor polygons")


def _box(value: Dict[str, Any], result: Dict[str, Any], where: str) -> Corners:
    """Returns the box of a rectangle in shares; a rotation is around the upper left corner."""
    x, y, width, height = (_number(value, key, where) / PER_CENT for key in RECTANGLE)
    turn = _number({"rotation": 0, **value}, "rotation", where)
    if not turn or not math.isfinite(turn):
        return x, y, x + width, y + height
    sides = [_number(result, key, where) for key in ("original_width", "original_height")]
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise DataError(f"{where}: expected the size of a rotated rectangle's image, found {sides}")
    aspect = sides[1] / sides[0]  # of one share of the height, in shares of the width
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    across = width * cosine, width * sine / aspect
    down = -height * aspect * sine, height * cosine
    shifts = [(a * across[0] + b * down[0], a * across[1] + b * down[1]) for a, b in CORNERS]
    return box_around([(x + right, y + below) for right, below in shifts])


def _number(entry: Dict[str, Any], key: str, where: str) -> float:
    value = entry.get(key)
    if not is_number(value):
        raise DataError(f"{where}.{key}: expected a number, found {value!r:.80}")
    return float(value)  # type: ignore[arg-type] # is_number says so

"""Reads Open Images: a table of boxes in shares of the image, and a table of class names.

The files are those of storage.googleapis.com/openimages (V4 to V7), for example
``oidv6-train-annotations-bbox.csv`` and ``class-descriptions-boxable.csv``.
"""

import csv
from pathlib import Path
from typing import Dict, List, Optional

from detkit.data.images import MAX_PIXELS
from detkit.data.names import check_folder, check_text
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import image_named
from detkit.data.readers.lists import Names, text_lines
from detkit.data.readers.records import Record, Thing, class_name, number
from detkit.data.readers.tables import Aliases, Row, rows_by_image
from detkit.errors import DataError
from detkit.registry import DATASETS

COLUMNS: Aliases = {
    "image": ("imageid",),
    "class": ("labelname",),
    "x1": ("xmin",),
    "y1": ("ymin",),
    "x2": ("xmax",),
    "y2": ("ymax",),
    "group": ("isgroupof",),
}
OPTIONAL = ("group",)
CORNERS = ("x1", "y1", "x2", "y2")
SUFFIX = ".jpg"
LONGEST_LINE = 1000  # characters of the table of classes


@DATASETS.register()
class OpenImages(FileDataset):
    """The images of a table of boxes of Open Images.

    annotations: the path of the table, with the columns ImageID, LabelName, XMin, XMax, YMin, YMax
        and, if it has it, IsGroupOf.
    images: the folder of the images, ImageID.jpg.
    classes: the path of the table of class names, a label such as /m/01g317 and a name in each
        line; null: the labels are the names.
    class_names: as for every reader, see FileDataset; null: all names of ``classes`` in their
        order, or without it the labels in the data, sorted.
    image_list: the path of a text file of the images that are read, for example of those that were
        downloaded; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    A group of objects (IsGroupOf) is a crowd, and therefore difficult.

    Raises DataError if a file is no such table, or if no object is left.
    """

    def __init__(
        self,
        annotations: str,
        images: str,
        classes: Optional[str] = None,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        file, folder = Path(annotations).expanduser(), Path(images).expanduser()
        check_folder(folder, "images")
        names = {} if classes is None else _class_table(Path(classes).expanduser())
        rows = rows_by_image(file, COLUMNS, OPTIONAL)
        records = [_record(image, of_image, folder, names) for image, of_image in rows.items()]
        found = list(dict.fromkeys(names.values())) or None
        super().__init__(file, records, found, Options(class_names, image_list, max_pixels))


def _class_table(file: Path) -> Dict[str, str]:
    """Returns {label: name} of a table without a header. Raises DataError."""
    names: Dict[str, str] = {}
    for index, line in enumerate(text_lines(file, "labels and names of classes"), 1):
        try:
            cells = next(csv.reader([line[:LONGEST_LINE]]), [])
        except csv.Error as error:  # a NUL, before Python 3.11
            raise DataError(f"{file}:{index}: expected CSV, found {error}") from error
        if [cell.strip().lower() for cell in cells] in ([], ["labelname", "displayname"]):
            continue
        if len(cells) != 2:
            raise DataError(f"{file}:{index}: expected a label and a name, found {cells!r:.120}")
        names[cells[0].strip()] = class_name(cells[1], f"{file}:{index}")
    if not names:
        raise DataError(f"{file}: expected labels and names of classes, found none")
    return names


def _record(image: str, rows: List[Row], folder: Path, names: Dict[str, str]) -> Record:
    try:
        check_text(image, rows[0].where)
        stem = rows[0].cells["image"]
        name, path = image_named(folder, stem and f"{stem}{SUFFIX}", rows[0].where)
    except DataError as error:
        return Record(image, folder, fault=str(error))
    try:
        return Record(name, path, [_thing(row, names) for row in rows], relative=True)
    except DataError as error:
        return Record(name, path, fault=str(error))


def _thing(row: Row, names: Dict[str, str]) -> Thing:
    """Returns the object of a row. Raises DataError."""
    if row.fault is not None:
        raise DataError(row.fault)
    label = class_name(row.cells["class"], f"{row.where}: LabelName")
    x1, y1, x2, y2 = (number(row.cells[key], f"{row.where}: {COLUMNS[key][0]}") for key in CORNERS)
    group = row.cells["group"] == "1"
    return Thing(row.where, names.get(label, label), (x1, y1, x2, y2), difficult=group)

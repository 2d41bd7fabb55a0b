"""Reads a table of boxes: a row for each object, as the tutorials of TensorFlow's API have it.

The columns are filename, width, height, class, xmin, ymin, xmax, ymax. Roboflow writes the same.
"""

from pathlib import Path
from typing import List, Optional, Tuple

from detkit.data.images import MAX_PIXELS
from detkit.data.names import check_folder, check_text
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import image_named
from detkit.data.readers.lists import Names
from detkit.data.readers.records import Record, Thing, class_name, number
from detkit.data.readers.tables import Aliases, Row, rows_by_image
from detkit.errors import DataError
from detkit.registry import DATASETS

COLUMNS: Aliases = {
    "image": ("filename", "image", "image_path", "path", "file", "file_name"),
    "class": ("class", "label", "class_name", "name", "category"),
    "x1": ("xmin", "x_min", "x1", "left"),
    "y1": ("ymin", "y_min", "y1", "top"),
    "x2": ("xmax", "x_max", "x2", "right"),
    "y2": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "difficult": ("difficult",),
}
OPTIONAL = ("width", "height", "difficult")
CORNERS = ("x1", "y1", "x2", "y2")


@DATASETS.register()
class CSV(FileDataset):
    """The images and boxes of a table.

    annotations: the path of the file. Its first line names the columns: filename (or image,
        image_path, path, file, file_name), class (label, class_name, name, category), xmin, ymin,
        xmax, ymax (x_min, ..., or x1, y1, x2, y2, or left, top, right, bottom), and if it has them,
        width and height of the image and difficult (0 or 1). Others are not read.
    images: the folder of the images; null: that of the file.
    class_names: as for every reader, see FileDataset; null: the classes in the data, sorted.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    Corners are in pixels, continuous and 0-based. A row with an image alone, whose class and
    corners are empty, states an image without objects.

    Raises DataError if the file is no such table, or if no object is left.
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
        rows = rows_by_image(file, COLUMNS, OPTIONAL)
        records = [_record(name, of_image, folder) for name, of_image in rows.items()]
        super().__init__(file, records, None, Options(class_names, image_list, max_pixels))


def _record(image: str, rows: List[Row], folder: Path) -> Record:
    try:
        check_text(image, rows[0].where)
        name, path = image_named(folder, rows[0].cells["image"], rows[0].where)
    except DataError as error:
        return Record(image, folder, fault=str(error))
    try:
        objects = [row for row in rows if any(row.cells[key] for key in ("class", *CORNERS))]
        sizes = {size for size in map(_size, rows) if size}
        if len(sizes) > 1:
            raise DataError(f"{rows[0].where}: expected one size of {name!r}, found {sizes}")
        things = [_thing(row) for row in objects]
    except DataError as error:
        return Record(name, path, fault=str(error))
    return Record(name, path, things, size=next(iter(sizes), None))


def _size(row: Row) -> Optional[Tuple[int, int]]:
    """Returns (width, height) of a row's image; None if it has none, or zeros."""
    texts = row.cells["width"], row.cells["height"]
    if not all(texts):
        return None
    width, height = (number(text, row.where) for text in texts)
    return (int(width), int(height)) if 1 <= width < 2**31 and 1 <= height < 2**31 else None


def _thing(row: Row) -> Thing:
    """Returns the object of a row. Raises DataError."""
    if row.fault is not None:
        raise DataError(row.fault)
    name = class_name(row.cells["class"], f"{row.where}: class")
    x1, y1, x2, y2 = (number(row.cells[key], f"{row.where}: {COLUMNS[key][0]}") for key in CORNERS)
    return Thing(row.where, name, (x1, y1, x2, y2), difficult=row.cells["difficult"] == "1")

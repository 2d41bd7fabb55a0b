"""Reads CVAT's export "CVAT for images 1.1": one XML file, annotations.xml, and a folder of images.

The format is that of docs.cvat.ai, "CVAT for image". Boxes, polygons and masks are read. Polylines,
points, ellipses, skeletons and cuboids are dropped and counted.
"""

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from xml.etree.ElementTree import Element

import numpy as np

from detkit import segmentations
from detkit.data.images import MAX_PIXELS
from detkit.data.names import check_folder, check_pixels, check_text
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import image_named, read_xml
from detkit.data.readers.lists import Names
from detkit.data.readers.records import Record, Thing, class_name, number
from detkit.errors import DataError
from detkit.registry import DATASETS

SHAPES = ("box", "polygon", "mask")
DROPPED = ("polyline", "points", "ellipse", "cuboid", "skeleton")


@DATASETS.register()
class CVAT(FileDataset):
    """The images of an annotations.xml of CVAT's.

    annotations: the path of the file.
    images: the folder of the images, below which every ``name`` lies.
    class_names: as for every reader, see FileDataset; null: the labels of the file's tasks in their
        order, or without tasks those of the objects, sorted.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    A rotated box becomes the box around it. An object with an attribute ``difficult`` of "true" is
    difficult.

    Raises DataError if the file cannot be read, or if no object is left.
    """

    def __init__(
        self,
        annotations: str,
        images: str,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        file, folder = Path(annotations).expanduser(), Path(images).expanduser()
        check_folder(folder, "images")
        root = read_xml(file)
        if root.tag != "annotations":
            raise DataError(f"{file}: expected <annotations> of CVAT, found <{root.tag:.50}>")
        nodes = root.findall("image")
        if not nodes:
            raise DataError(
                f"{file}: expected <image> elements, found none; export as 'CVAT for images 1.1'"
            )
        records = [
            _record(node, f"{file}: image {index}", folder, max_pixels)
            for index, node in enumerate(nodes)
        ]
        options = Options(class_names, image_list, max_pixels)
        super().__init__(file, records, _labels(root, str(file)), options)


def _labels(root: Element, where: str) -> Optional[List[str]]:
    """Returns the labels of the tasks in their order, each once; None if there are none."""
    texts = [node.findtext("name") for node in root.iterfind("meta//labels/label")]
    names = [class_name(text, f"{where}: meta: labels") for text in texts]
    return list(dict.fromkeys(names)) or None


def _record(node: Element, where: str, folder: Path, max_pixels: int) -> Record:
    try:
        name, path = image_named(folder, node.get("name"), f"{where}.name")
        check_text(name, f"{where}.name")
    except DataError as error:
        return Record(where, folder, fault=str(error))
    try:
        size = _side(node, "width", where), _side(node, "height", where)
        check_pixels(*size, max_pixels, where)
        shapes = [shape for shape in node if shape.tag in (*SHAPES, *DROPPED)]
        things = [_thing(shape, f"{where} {name!r}", size) for shape in shapes]
    except DataError as error:
        return Record(name, path, fault=str(error))
    return Record(name, path, things, size=size)


def _side(node: Element, key: str, where: str) -> int:
    """Returns an attribute that counts pixels. Raises DataError."""
    text = node.get(key) or ""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise DataError(f"{where}.{key}: expected a whole number of pixels, found {text!r:.50}")
    return int(text)


def _thing(node: Element, where: str, size: Tuple[int, int]) -> Thing:
    """Returns the object of a shape. Raises DataError for a malformed one."""
    name = class_name(node.get("label"), f"{where}: <{node.tag}>.label")
    where = f"{where}: <{node.tag}>"
    if node.tag in DROPPED:
        return Thing(where, name, fault="its shape is neither a box nor a polygon nor a mask")
    marks = {mark.get("name"): (mark.text or "").strip() for mark in node.iterfind("attribute")}
    shape: Dict[str, Any] = {"difficult": marks.get("difficult", "").lower() == "true"}
    if node.tag == "box":
        shape["box"] = _box(node, where)
    elif node.tag == "polygon":
        shape["segmentation"] = [_polygon(node, where)]
    else:
        shape["segmentation"] = _mask(node, where, size)
    return Thing(where, name, **shape)


def _box(node: Element, where: str) -> Tuple[float, float, float, float]:
    x1, y1, x2, y2, turn = (
        number(node.get(key, default), f"{where}.{key}")
        for key, default in (("xtl", ""), ("ytl", ""), ("xbr", ""), ("ybr", ""), ("rotation", "0"))
    )
    angle = np.radians(turn) if np.isfinite(turn) else 0.0
    cosine, sine = abs(np.cos(angle)), abs(np.sin(angle))
    half = (x2 - x1) / 2, (y2 - y1) / 2
    width, height = half[0] * cosine + half[1] * sine, half[0] * sine + half[1] * cosine
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return (x - width, y - height, x + width, y + height) if angle else (x1, y1, x2, y2)


def _polygon(node: Element, where: str) -> List[float]:
    """Returns x y x y ... of ``points``, x,y;x,y;..."""
    pairs = [point.split(",") for point in (node.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise DataError(f"{where}.points: expected x,y;x,y;..., found {node.get('points')!r:.80}")
    return [number(text, f"{where}.points") for pair in pairs for text in pair]


def _mask(node: Element, where: str, size: Tuple[int, int]) -> Any:
    """Returns a COCO RLE of a mask: runs of 0 and 1 by turns, along the rows of a rectangle."""
    left, top, width, height = (
        _side(node, key, where) for key in ("left", "top", "width", "height")
    )
    if not (width and height and left + width <= size[0] and top + height <= size[1]):
        raise DataError(
            f"{where}: expected a rectangle within the image of {size[0]} x {size[1]} pixels, "
            f"found {width} x {height} at {left}, {top}"
        )
    texts = [text.strip() for text in (node.get("rle") or "").split(",")]
    if not all(text.isascii() and text.isdecimal() and len(text) < 10 for text in texts):
        raise DataError(f"{where}.rle: expected whole numbers, found {node.get('rle')!r:.80}")
    runs = [int(text) for text in texts]
    if sum(runs) != width * height:
        raise DataError(
            f"{where}.rle: expected runs of {width} x {height} pixels in all, found {sum(runs)}"
        )
    pixels = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8).reshape(height, width)
    return segmentations.placed(pixels, left, top, size)

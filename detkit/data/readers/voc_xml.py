"""Reads one annotation of Pascal VOC's: an XML file of an image, its size and its objects."""

from pathlib import Path
from typing import List, Optional, Tuple
from xml.etree.ElementTree import Element

from detkit.data.readers.files import read_xml
from detkit.data.readers.records import Corners, Record, Thing, class_name
from detkit.errors import DataError


def name_of(node: Element) -> str:
    """Returns the class name of an <object>."""
    return (node.findtext("name") or "").strip()


def is_difficult(node: Element) -> bool:
    """Returns whether an <object> is marked difficult."""
    return (node.findtext("difficult") or "").strip() == "1"


def tagged_name(root: Element) -> str:
    """Returns the last part of the name in <filename>, which may be empty."""
    return Path((root.findtext("filename") or "").strip().replace("\\", "/")).name


def stated_size(root: Element) -> Optional[Tuple[int, int]]:
    """Returns (width, height) of <size> in pixels, or None if it is missing or zero."""
    try:
        width, height = (
            int(float(root.findtext(f"size/{side}", "0"))) for side in ("width", "height")
        )
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def corners_of(node: Element, where: str) -> List[float]:
    """Returns xmin, ymin, xmax, ymax of an <object>, which may be NaN or infinite.

    Raises DataError, which begins with ``where``, for a corner that is no number.
    """
    corners = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        text = node.findtext(f"bndbox/{tag}")
        try:
            corners.append(float(text or ""))
        except ValueError as error:
            raise DataError(
                f'{where}: "{name_of(node)}": expected a number as <{tag}>, found {text!r}'
            ) from error
    return corners


def record_of(name: str, image: Path, xml: Path, first_pixel: int = 1) -> Record:
    """Returns the Record of an image from its XML file.

    first_pixel: the number of the first pixel. Corners are inclusive, and become continuous: for 1,
        as in VOC, x - 1, y - 1, x, y; for 0, x, y, x + 1, y + 1.

    Raises DataError if the file cannot be read or an object has no name or a corner no number.
    """
    root = read_xml(xml)
    nodes = enumerate(root.findall("object"), 1)
    things = [_thing(f"{xml}: object {number}", node, first_pixel) for number, node in nodes]
    return Record(name, image, things, size=stated_size(root))


def _thing(where: str, node: Element, first_pixel: int) -> Thing:
    name = class_name(name_of(node), f"{where}: <name>")
    xmin, ymin, xmax, ymax = corners_of(node, where)
    if xmax <= xmin or ymax <= ymin:
        # Corners that coincide are a click without a drag instead of an object of one pixel.
        fault = f"box {xmin:g} {ymin:g} {xmax:g} {ymax:g} has no area"
        return Thing(where, name, fault=fault)
    low, high = first_pixel, 1 - first_pixel
    box: Corners = xmin - low, ymin - low, xmax + high, ymax + high
    return Thing(where, name, box, difficult=is_difficult(node))

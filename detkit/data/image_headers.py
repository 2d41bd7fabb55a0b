"""Reads formats, sizes and ends from the bytes of image files, before anything is decoded.

OpenCV has no reader of headers, and a file of some kilobytes can describe an image of gigabytes.
The layouts are those of JPEG (ITU T.81, annex B), PNG, BMP, TIFF 6.0 and WebP's RIFF container.
"""

import math
import re
import struct
from typing import Dict, NamedTuple, Optional, Tuple

HEAD_BYTES = 16
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB\x60\x82"
# In a JPEG's compressed data 0xff is followed by 00, by a restart marker d0..d7, or, as padding, by
# another ff. Any other byte is the marker that ends the scan. The marker 01 has no segment either.
JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
# The frame headers SOF0 to SOF15, without DHT (c4), JPG (c8) and DAC (cc), which lie between them.
JPEG_FRAMES = bytes(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
JPEG_SCAN = 0xDA
JPEG_EXIF = re.compile(rb"\xff\xe1..Exif\0\0", re.DOTALL)
EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
TURNED = (5, 6, 7, 8)  # the orientations that exchange width and height
TIFF_WIDTHS, TIFF_HEIGHTS = (256, 322), (257, 323)  # tags of the image, and of its tiles
TIFF_LAYOUTS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # of the types of integers


class Jpeg(NamedTuple):
    """The segments of a JPEG: largest size (width, height) or None, number of scans, whole."""

    size: Optional[Tuple[int, int]]
    scans: int
    whole: bool


def format_of(head: bytes) -> Optional[str]:
    """Returns the format of a file that begins with these bytes, or None."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"BM"):
        return "BMP"
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return "TIFF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return None


def size_of(kind: str, data: bytes) -> Optional[Tuple[int, int]]:
    """Returns (width, height) in pixels that a file's header states; None if it states none.

    kind: the format. data: the whole file.
    """
    try:
        return {"JPEG": _jpeg, "PNG": _png, "BMP": _bmp, "TIFF": _tiff, "WebP": _webp}[kind](data)
    except (struct.error, IndexError, ValueError):  # the file ends within its header
        return None


def may_turn(kind: str, data: bytes) -> bool:
    """Returns whether the file's orientation may exchange width and height when it is decoded.

    kind: the format. data: the beginning of the file.

    The orientation of a JPEG's EXIF is read. Other files with EXIF and TIFFs may turn.
    """
    if kind != "JPEG":
        return kind == "TIFF" or b"eXIf" in data or b"EXIF" in data
    return jpeg_orientation(data) in TURNED


def jpeg_orientation(data: bytes) -> int:
    """Returns the orientation that a JPEG's EXIF states, from 1 (upright) to 8.

    data: the beginning of the file.
    """
    found = JPEG_EXIF.search(data)
    try:
        return UPRIGHT if found is None else _orientation(data[found.end() :])
    except struct.error:  # the file ends within its EXIF
        return UPRIGHT


def stated_length(kind: str, head: bytes) -> int:
    """Returns the least length in bytes that the header states; 0 if it states none (TIFF)."""
    if kind == "BMP":
        return int.from_bytes(head[2:6], "little")
    if kind == "WebP":
        return int.from_bytes(head[4:8], "little") + 8
    return 0


def walk_jpeg(data: bytes) -> Jpeg:
    """Returns the image's own segments, without those of an EXIF thumbnail."""
    position, scans = 2, 0
    size: Optional[Tuple[int, int]] = None
    while True:
        marker = JPEG_MARKER.search(data, position)
        if marker is None:
            return Jpeg(size, scans, whole=False)
        code, start = marker.group(1)[0], marker.end()
        if code == JPEG_END[1]:
            return Jpeg(size, scans, whole=True)
        if len(data) < start + 2:
            return Jpeg(size, scans, whole=False)
        if code in JPEG_FRAMES and len(data) >= start + 7:
            height, width = struct.unpack_from(">HH", data, start + 3)
            size = max(size or (0, 0), (width, height), key=math.prod)
        scans += code == JPEG_SCAN
        position = start + int.from_bytes(data[start : start + 2], "big")


def _orientation(data: bytes) -> int:
    """Returns the orientation that an EXIF block states, from 1 to 8; 1 if it states none."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for index in range(count):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * index)
        if tag == EXIF_ORIENTATION:
            return int(value)
    return UPRIGHT


def _jpeg(data: bytes) -> Optional[Tuple[int, int]]:
    return walk_jpeg(data).size


def _png(data: bytes) -> Optional[Tuple[int, int]]:
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height) if data[12:16] == b"IHDR" else None


def _bmp(data: bytes) -> Tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height stands for rows from the top


def _tiff(data: bytes) -> Optional[Tuple[int, int]]:
    """Returns the larger of the image and its tiles, each of which is decoded as a whole."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    values: Dict[int, int] = {}
    for index in range(count):
        entry = start + 2 + 12 * index
        tag, kind, _ = struct.unpack_from(f"{order}HHI", data, entry)
        if tag not in (*TIFF_WIDTHS, *TIFF_HEIGHTS):
            continue
        if kind not in TIFF_LAYOUTS:
            return None
        (value,) = struct.unpack_from(order + TIFF_LAYOUTS[kind], data, entry + 8)
        values[tag] = max(value, values.get(tag, 0))
    if TIFF_WIDTHS[0] not in values or TIFF_HEIGHTS[0] not in values:
        return None
    width, height = (
        max(values.get(tag, 0) for tag in tags) for tags in (TIFF_WIDTHS, TIFF_HEIGHTS)
    )
    return width, height


def _webp(data: bytes) -> Optional[Tuple[int, int]]:
    chunk, body = data[12:16], 20
    if chunk == b"VP8X":  # the canvas
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, body + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, body + 6)
        return width & 0x3FFF, height & 0x3FFF
    return None

"""Reads image files and arrays as (H, W, 3) uint8 RGB.

OpenCV fills the missing part of a truncated file with grey and reports no error. The end of a file
is therefore checked before the file is decoded.
"""

import os
import re
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import cv2
import numpy as np

from detkit.errors import ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
HEAD_BYTES = 16
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB\x60\x82"
# In a JPEG's compressed data 0xff is followed by 00, by a restart marker d0..d7, or, as padding, by
# another ff. Any other byte is the marker that ends the scan.
JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)


def decode_image(path: Union[str, Path]) -> np.ndarray:
    """Reads an image file: (H, W, 3) uint8 RGB, rotated by its EXIF orientation.

    Grey becomes RGB, alpha is dropped and 16 bits become 8.

    Raises ImageError if the file is missing, empty, truncated or no image.
    """
    data = _read(path)
    _check(path, data[:HEAD_BYTES], len(data), data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(
            f"{path}: expected an image, found {len(data)} bytes that OpenCV cannot decode: {error}"
        ) from error
    if image is None:
        raise ImageError(
            f"{path}: expected an image, found {len(data)} bytes that begin like {_format(data)} "
            "and that OpenCV cannot decode; replace the file or remove it from the dataset"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_image_file(path: Union[str, Path]) -> None:
    """Checks that a file exists, begins like an image and is complete, without decoding it.

    It reads only a few bytes of a good file. Raises ImageError.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
            file.seek(-min(size, len(PNG_END)), 2)
            tail = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    kind = _format(head)
    ends_well = (kind == "JPEG" and tail.endswith(JPEG_END)) or (kind == "PNG" and tail == PNG_END)
    if not ends_well:
        _check(path, head, size)


def to_rgb_uint8(array: np.ndarray, name: str = "image") -> np.ndarray:
    """Converts an array that a caller passed to (H, W, 3) uint8 RGB.

    array: uint8 or uint16 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). An array (H, W, 3)
        uint8 is returned unchanged. Grey is repeated, alpha is dropped, and 16 bits are divided by
        256, as OpenCV does.
    name: the place that a message begins with.

    Raises ImageError for any other array.
    """
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{name}: expected a numpy array, found {type(array).__name__}")
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise ImageError(
            f"{name}: expected shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found {array.shape}"
        )
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: expected uint8 in [0, 255] or uint16, found {array.dtype}; "
            "convert floats in [0, 1] by (255 * image).round().astype('uint8')"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if channels == 1:
        return np.repeat(array.reshape(array.shape[:2] + (1,)), 3, axis=2)
    return array if channels == 3 else np.ascontiguousarray(array[:, :, :3])


def is_one_image(images: Any) -> bool:
    """Returns whether ``images`` is one image: a file's path or one array (H, W, 3)."""
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    return isinstance(images, (str, os.PathLike))


def read_images(images: Sequence[Union[str, Path, np.ndarray]]) -> List[np.ndarray]:
    """Returns each file or array as (H, W, 3) uint8 RGB. Raises ImageError."""
    return [
        decode_image(image)
        if isinstance(image, (str, os.PathLike))
        else to_rgb_uint8(image, f"images[{position}]")
        for position, image in enumerate(images)
    ]


def list_images(paths: Sequence[Union[str, Path]]) -> List[str]:
    """Returns the files among `paths` and the sorted images of the folders among them.

    Raises ImageError for a path that does not exist and for a folder without an image.
    """
    files: List[str] = []
    for path in map(Path, paths):
        if not path.is_dir():
            check_image_file(path)
            files.append(str(path))
            continue
        inside = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not inside:
            raise ImageError(
                f"{path}: expected a folder with images ({', '.join(SUFFIXES)}), found no image"
            )
        files.extend(inside)
    return files


def _read(path: Union[str, Path]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Union[str, Path], error: OSError) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path}: no such file")
    if isinstance(error, IsADirectoryError):
        return ImageError(f"{path}: expected an image file, found a folder")
    return ImageError(f"{path}: cannot be read: {error.strerror}")


def _format(head: bytes) -> Optional[str]:
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


def _check(path: Union[str, Path], head: bytes, size: int, data: Optional[bytes] = None) -> None:
    """Raises ImageError unless the file is complete.

    data: the whole file; None reads it if it is needed.
    """
    kind = _format(head)
    if size == 0:
        raise ImageError(f"{path}: expected an image, found an empty file (0 bytes)")
    if kind is None:
        raise ImageError(
            f"{path}: expected JPEG, PNG, BMP, TIFF or WebP, found {size} bytes that begin with "
            f"{head[:8]!r}"
        )
    if kind == "JPEG":
        missing = None if _jpeg_is_whole(data or _read(path)) else "no end-of-image marker"
    elif kind == "PNG":
        missing = None if PNG_END in (data or _read(path)) else "no IEND chunk"
    else:
        stated = _stated_size(kind, head)
        missing = None if size >= stated else f"its header says {stated}"
    if missing:
        raise ImageError(
            f"{path}: expected a complete file, found a {kind} truncated after {size} bytes "
            f"({missing})"
        )


def _jpeg_is_whole(data: bytes) -> bool:
    """Returns whether the data reach the image's own end marker, behind any EXIF thumbnail's."""
    position = 2
    while True:
        marker = JPEG_MARKER.search(data, position)
        if marker is None:
            return False
        if marker.group(1) == JPEG_END[1:]:
            return True
        start = marker.end()
        if len(data) < start + 2:
            return False
        position = start + int.from_bytes(data[start : start + 2], "big")


def _stated_size(kind: str, head: bytes) -> int:
    """Returns the least length in bytes that the header states; 0 if it states none (TIFF)."""
    if kind == "BMP":
        return int.from_bytes(head[2:6], "little")
    if kind == "WebP":
        return int.from_bytes(head[4:8], "little") + 8
    return 0

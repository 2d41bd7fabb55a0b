"""Image files and arrays -> (H, W, 3) uint8 RGB.

OpenCV fills the missing part of a truncated file with grey and says nothing, so a file is checked
for its end before it is decoded.
"""

import os
import re
from pathlib import Path
from typing import List, Optional, Sequence, Union

import cv2
import numpy as np

from detkit.errors import ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
HEAD_BYTES = 16
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB\x60\x82"
# In a JPEG's compressed data 0xff is followed by 00 or a restart marker d0..d7, and by another ff
# where it is filling; anything else is the marker that ends the scan.
JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)


def decode_image(path: Union[str, Path]) -> np.ndarray:
    """Read an image file: (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Grey becomes RGB, alpha is dropped and 16 bits become 8.

    Raises ImageError when the file is missing, empty, not an image or truncated.
    """
    data = _read(path)
    _check(path, data[:HEAD_BYTES], len(data), data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"{path}: OpenCV refuses to decode it: {error}") from error
    if image is None:
        raise ImageError(
            f"{path}: OpenCV cannot decode it, although its {len(data)} bytes begin like "
            f"{_format(data)}; replace the file or take it out of the dataset"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_image_file(path: Union[str, Path]) -> None:
    """Check that a file exists, begins like an image and is whole, without decoding it.

    Reads a few bytes of a sound file, however large. Raises ImageError.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
            file.seek(-min(size, len(PNG_END)), 2)
            tail = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    ends_well = {"JPEG": tail.endswith(JPEG_END), "PNG": tail == PNG_END}
    if not ends_well.get(_format(head), False):
        _check(path, head, size)


def to_rgb_uint8(array: np.ndarray, name: str = "image") -> np.ndarray:
    """Bring an array given in Python to (H, W, 3) uint8 RGB.

    Takes uint8 or uint16 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); (H, W, 3) uint8 is
    returned as it is. Grey is repeated, alpha dropped, 16 bits are divided by 256 as OpenCV does.

    Raises ImageError for anything else.
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
            f"{name}: expected uint8 in 0..255 or uint16, found {array.dtype}; "
            "for floats in 0..1 pass (255 * image).round().astype('uint8')"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if channels == 1:
        return np.repeat(array.reshape(array.shape[:2] + (1,)), 3, axis=2)
    return array if channels == 3 else np.ascontiguousarray(array[:, :, :3])


def is_one_image(images) -> bool:
    """Whether ``images`` are one, a file's name or one (H, W, 3) array, and not several."""
    return isinstance(images, (str, os.PathLike)) or getattr(images, "ndim", 4) < 4


def read_images(images: Sequence[Union[str, Path, np.ndarray]]) -> List[np.ndarray]:
    """Each of some names of files and arrays as (H, W, 3) uint8 RGB. Raises ImageError."""
    return [
        decode_image(image)
        if isinstance(image, (str, os.PathLike))
        else to_rgb_uint8(image, f"images[{position}]")
        for position, image in enumerate(images)
    ]


def list_images(paths: Sequence[Union[str, Path]]) -> List[str]:
    """The image files among `paths`: files as they are, of folders their images, sorted.

    Raises ImageError for a path that does not exist and a folder without an image.
    """
    files: List[str] = []
    for path in map(Path, paths):
        if not path.is_dir():
            check_image_file(path)
            files.append(str(path))
            continue
        inside = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not inside:
            raise ImageError(f"{path}: the folder has no image ({', '.join(SUFFIXES)})")
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
        return ImageError(f"{path}: is a folder, expected an image file")
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
    """Raise ImageError unless the file is whole; it is read if `data` is needed and not given."""
    kind = _format(head)
    if size == 0:
        raise ImageError(f"{path}: is empty (0 bytes)")
    if kind is None:
        raise ImageError(
            f"{path}: {size} bytes that are no image: expected JPEG, PNG, BMP, TIFF or WebP, "
            f"found a file that begins with {head[:8]!r}"
        )
    if kind == "JPEG":
        missing = None if _jpeg_is_whole(data or _read(path)) else "no end-of-image marker"
    elif kind == "PNG":
        missing = None if PNG_END in (data or _read(path)) else "no IEND chunk"
    else:
        promised = _promised_size(kind, head)
        missing = None if size >= promised else f"its header promises {promised}"
    if missing:
        raise ImageError(f"{path}: {kind} truncated after {size} bytes ({missing})")


def _jpeg_is_whole(data: bytes) -> bool:
    """Walk from marker to marker to the end of the image, past any thumbnail inside EXIF."""
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


def _promised_size(kind: str, head: bytes) -> int:
    """The least length of the file by its own header (a TIFF's does not tell)."""
    if kind == "BMP":
        return int.from_bytes(head[2:6], "little")
    if kind == "WebP":
        return int.from_bytes(head[4:8], "little") + 8
    return 0

"""Reads image files as (H, W, 3) uint8 RGB.

OpenCV fills the missing part of a truncated file with grey and reports no error. The end of a file
is therefore checked before the file is decoded.
"""

from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.data.image_headers import (
    HEAD_BYTES,
    JPEG_END,
    PNG_END,
    UPRIGHT,
    format_of,
    jpeg_orientation,
    may_turn,
    size_of,
    stated_length,
    walk_jpeg,
)
from detkit.errors import ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000  # of an image: the default of data.max_pixels; 0.3 GB when decoded
SIZE_BYTES = 1 << 16  # of the beginning of a file, in which nearly all formats state the size
# A file with more than this times the pixels of its annotation is not the annotated image.
MOST_ABOVE_ANNOTATED = 16
SMALL = 256  # pixels of the shorter side from which decode_small reduces an image
# Every scan of a progressive JPEG visits all pixels. Encoders write about 10.
MOST_SCANS = 100
# The factors by which a JPEG can be decoded smaller, and OpenCV's flags.
REDUCTIONS = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}


def decode_image(
    path: Union[str, Path],
    max_pixels: int = MAX_PIXELS,
    annotated: Optional[Tuple[int, int]] = None,
) -> np.ndarray:
    """Reads an image file: (H, W, 3) uint8 RGB, rotated by its EXIF orientation.

    Grey becomes RGB, alpha is dropped and 16 bits become 8.

    max_pixels: the largest number of pixels that is decoded.
    annotated: (width, height) of the image's annotation, or None. The image may have another size,
        but a file that states far more pixels is not decoded.

    Raises ImageError if the file is missing, empty, truncated, too large or no image.
    """
    return decode_bytes(_read(path), path, max_pixels, annotated)


def decode_bytes(
    data: bytes,
    name: Union[str, Path],
    max_pixels: int = MAX_PIXELS,
    annotated: Optional[Tuple[int, int]] = None,
) -> np.ndarray:
    """Returns the image in the bytes of a file, (H, W, 3) uint8 RGB; see decode_image.

    name: the place that a message begins with.
    """
    _check(name, data[:HEAD_BYTES], len(data), data)
    _check_size(name, data, max_pixels, annotated)
    return _decode(data, name, cv2.IMREAD_COLOR)


def decode_small(data: bytes, name: Union[str, Path], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns the image in the bytes of a file, (H, W, 3) uint8 RGB, in a quarter of its size.

    JPEGs are decoded in this size, which takes a small part of the time. An image with a side of
    fewer than SMALL pixels keeps its size. See decode_bytes for the arguments and errors.
    """
    _check(name, data[:HEAD_BYTES], len(data), data)
    _check_size(name, data, max_pixels, None)
    size = size_of(str(format_of(data)), data)
    small = size is None or min(size) < SMALL
    return _decode(data, name, cv2.IMREAD_COLOR if small else cv2.IMREAD_REDUCED_COLOR_4)


def decode_reduced(
    path: Union[str, Path], factor: int, size: Tuple[int, int], max_pixels: int = MAX_PIXELS
) -> Optional[np.ndarray]:
    """Reads a JPEG in a part of its size, which takes a part of the time; see reduced_bytes."""
    return reduced_bytes(_read(path), path, factor, size, max_pixels)


def reduced_bytes(
    data: bytes,
    name: Union[str, Path],
    factor: int,
    size: Tuple[int, int],
    max_pixels: int = MAX_PIXELS,
) -> Optional[np.ndarray]:
    """Returns the JPEG in the bytes of a file with sides of 1 / factor, uint8 RGB, or None.

    libjpeg leaves out the high frequencies of each block of 8 x 8 pixels. Each pixel stands for
    factor x factor pixels of the file. Sides are rounded up, so that the last row and column may
    stand for fewer. The result is None if the image must be decoded in full: the file is no JPEG,
    its size is not ``size``, or its orientation would make these the first row or column.

    factor: one of REDUCTIONS. size: (width, height) of the image in full, with its orientation.

    See decode_bytes for the other arguments and the errors.
    """
    kind = format_of(data[:HEAD_BYTES])
    if kind != "JPEG":
        return None
    _check(name, data[:HEAD_BYTES], len(data), data)
    _check_size(name, data, max_pixels, size)
    even = size[0] % factor == size[1] % factor == 0
    if not even and jpeg_orientation(data[:SIZE_BYTES]) != UPRIGHT:
        return None
    stored = size[::-1] if may_turn(kind, data[:SIZE_BYTES]) else size
    if stored != size_of(kind, data):
        return None
    image = _decode(data, name, REDUCTIONS[factor])
    width, height = (-(-side // factor) for side in size)
    return image if image.shape[:2] == (height, width) else None


def _decode(data: bytes, name: Union[str, Path], flag: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise _undecodable(name, data, f": {error}") from error
    if image is None:
        raise _undecodable(name, data)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _undecodable(path: Union[str, Path], data: bytes, reason: str = "") -> ImageError:
    return ImageError(
        f"{path}: expected an image, found {len(data)} bytes that begin like {format_of(data)} "
        f"and that OpenCV cannot decode{reason}; replace the file or remove it from the dataset"
    )


def _check_size(
    path: Union[str, Path], data: bytes, max_pixels: int, annotated: Optional[Tuple[int, int]]
) -> None:
    """Raises ImageError for a file whose header states more pixels than expected."""
    kind = str(format_of(data))
    size = size_of(kind, data)
    if size is None:
        raise _undecodable(path, data, " (its header states no size)")
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"{path}: expected at most {max_pixels} pixels, found {width} x {height} in the header "
            f"of {len(data)} bytes; if the image is right, raise data.max_pixels"
        )
    if annotated and width * height > MOST_ABOVE_ANNOTATED * annotated[0] * annotated[1]:
        raise ImageError(
            f"{path}: expected about the {annotated[0]} x {annotated[1]} pixels of the annotation, "
            f"found {width} x {height} in the header; correct the annotation or the file"
        )
    if kind == "JPEG" and walk_jpeg(data).scans > MOST_SCANS:
        raise ImageError(
            f"{path}: expected a JPEG of at most {MOST_SCANS} scans, found "
            f"{walk_jpeg(data).scans}, each of which costs as much time as an image"
        )


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
    kind = format_of(head)
    ends_well = (kind == "JPEG" and tail.endswith(JPEG_END)) or (kind == "PNG" and tail == PNG_END)
    if not ends_well:
        _check(path, head, size)


def image_size(path: Union[str, Path], max_pixels: int = MAX_PIXELS) -> Tuple[int, int]:
    """Returns (width, height) in pixels of an image file as it is decoded, with its orientation.

    It checks the file like `check_image_file`, and nearly always reads its beginning alone.

    max_pixels: the largest number of pixels of an image.

    Raises ImageError.
    """
    check_image_file(path)
    with open(path, "rb") as file:
        head = file.read(SIZE_BYTES)
    kind = str(format_of(head))
    size = size_of(kind, head)
    if size is None or may_turn(kind, head):
        height, width = decode_image(path, max_pixels).shape[:2]
        return width, height
    if not 0 < size[0] * size[1] <= max_pixels:
        raise ImageError(
            f"{path}: expected from 1 to {max_pixels} pixels, found {size[0]} x {size[1]} in its "
            "header; if the image is right, raise data.max_pixels"
        )
    return size


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


def _check(path: Union[str, Path], head: bytes, size: int, data: Optional[bytes] = None) -> None:
    """Raises ImageError unless the file is complete.

    data: the whole file; None reads it if it is needed.
    """
    kind = format_of(head)
    if size == 0:
        raise ImageError(f"{path}: expected an image, found an empty file (0 bytes)")
    if kind is None:
        raise ImageError(
            f"{path}: expected JPEG, PNG, BMP, TIFF or WebP, found {size} bytes that begin with "
            f"{head[:8]!r}"
        )
    if kind == "JPEG":
        missing = None if walk_jpeg(data or _read(path)).whole else "no end-of-image marker"
    elif kind == "PNG":
        missing = None if PNG_END in (data or _read(path)) else "no IEND chunk"
    else:
        stated = stated_length(kind, head)
        missing = None if size >= stated else f"its header says {stated}"
    if missing:
        raise ImageError(
            f"{path}: expected a complete file, found a {kind} truncated after {size} bytes "
            f"({missing})"
        )

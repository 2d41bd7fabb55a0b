"""The images that a caller gives to a detector, in any form -> arrays (H, W, 3) uint8 RGB."""

import os
from typing import Any, List, Sequence

import numpy as np

from detkit.data.images import MAX_PIXELS, decode_bytes, decode_image
from detkit.errors import ImageError

RGB, BGR = "RGB", "BGR"
EXPECTED = "a path, the bytes of a file, a PIL image or an array"
# PIL's modes whose arrays are grey, RGB, RGBA or 16 bits. The others are converted by PIL, because
# the array of a palette image holds indices, and that of a CMYK image four colours.
PIL_MODES = ("L", "RGB", "RGBA", "I;16", "I", "F")


def is_one_image(images: Any) -> bool:
    """Returns whether ``images`` is one image: all but arrays of 4 axes and iterables of images."""
    if isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview)) or _is_pil(images):
        return True
    return _is_array(images) and len(getattr(images, "shape", ())) < 4


def read_images(
    images: Sequence[Any], max_pixels: int = MAX_PIXELS, channels: str = RGB
) -> List[np.ndarray]:
    """Returns each image as (H, W, 3) uint8 RGB.

    images: paths, the bytes of image files, PIL images, or arrays, see to_rgb_uint8.
    max_pixels: the largest number of pixels of a file that is decoded.
    channels: RGB or BGR, the order of the channels of arrays. Files and PIL images have their own.

    Raises ImageError with the path of a file, or with the index of another image.
    """
    if channels not in (RGB, BGR):
        raise ImageError(f"channels: expected {RGB!r} or {BGR!r}, found {channels!r}")
    return [_read(image, f"images[{n}]", max_pixels, channels) for n, image in enumerate(images)]


def _read(image: Any, name: str, max_pixels: int, channels: str) -> np.ndarray:
    if isinstance(image, (str, os.PathLike)):
        return decode_image(os.fspath(image), max_pixels)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return decode_bytes(bytes(image), name, max_pixels)
    if _is_pil(image):
        return to_rgb_uint8(_array_of(image, name), name)
    return to_rgb_uint8(_array_of(image, name), name, channels)


def to_rgb_uint8(array: np.ndarray, name: str = "image", channels: str = RGB) -> np.ndarray:
    """Converts an array that a caller passed to (H, W, 3) uint8 RGB.

    array: uint8 or uint16 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). An array (H, W, 3)
        uint8 RGB is returned unchanged. Grey is repeated, alpha is dropped, and 16 bits are divided
        by 256, as OpenCV does.
    name: the place that a message begins with.
    channels: the order of the channels, RGB or BGR; alpha is the last in both.

    Raises ImageError for any other array.
    """
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{name}: expected a numpy array, found {type(array).__name__}")
    depth = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or depth not in (1, 3, 4) or array.size == 0:
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise ImageError(
            f"{name}: expected shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found "
            f"{array.shape}{'; move the channels to the end' * first}"
        )
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: expected uint8 in [0, 255] or uint16, found {array.dtype}; "
            "convert floats in [0, 1] by (255 * image).round().astype('uint8')"
        )
    if array.dtype != np.uint8:
        array = (array >> 8).astype(np.uint8)
    if depth == 1:
        return np.repeat(array.reshape(array.shape[:2] + (1,)), 3, axis=2)
    if channels == BGR:
        return np.ascontiguousarray(array[:, :, 2::-1])
    return array if depth == 3 else np.ascontiguousarray(array[:, :, :3])


def _is_pil(image: Any) -> bool:
    return isinstance(getattr(image, "mode", None), str) and hasattr(image, "convert")


def _is_array(image: Any) -> bool:
    # PIL reads the file when it is asked for its array, and may fail.
    protocols = ("__array__", "__array_interface__", "asnumpy")
    return _is_pil(image) or any(hasattr(image, name) for name in protocols)


def _array_of(image: Any, name: str) -> np.ndarray:
    """Returns an image in memory as an array, whatever library it is of."""
    if not _is_array(image):
        raise ImageError(f"{name}: expected {EXPECTED}, found {type(image).__name__}")
    try:
        if _is_pil(image):
            image.load()  # numpy 1.19 takes an image that cannot be read for a single object
            image = image if image.mode in PIL_MODES else image.convert(RGB)
        return np.asarray(image.asnumpy() if hasattr(image, "asnumpy") else image)
    except Exception as error:  # of another library, which may raise anything
        raise ImageError(
            f"{name}: expected {EXPECTED}, found a {type(image).__name__} that cannot be read: "
            f"{error}"
        ) from error

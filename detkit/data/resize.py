"""An image at the size that a network looks at: what Resize and exported detectors share."""

import math
from typing import Optional, Tuple

import cv2
import numpy as np

from detkit.data.resample import like_mxnet, like_pillow, like_torch

FRAMEWORKS = ("torchvision", "detectron2", "gluoncv")


def resized_size(
    height: int, width: int, short: int, long: int, like: Optional[str] = None
) -> Tuple[int, int]:
    """(width, height) of an image scaled until its shorter side is `short` or its longer `long`.

    like: one of FRAMEWORKS rounds sides otherwise than to the nearest number, see Resize.
    """
    scale = min(short / min(height, width), long / max(height, width))
    whole = {"torchvision": math.floor, "detectron2": _half_up}.get(like, round)
    return max(1, whole(width * scale)), max(1, whole(height * scale))


def resample(image: np.ndarray, size: Tuple[int, int], like: Optional[str] = None) -> np.ndarray:
    """An (H, W, 3) uint8 image at size (width, height), as one of FRAMEWORKS or as OpenCV."""
    if like is None:
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    how = {"torchvision": like_torch, "detectron2": like_pillow, "gluoncv": like_mxnet}
    return how[like](image, size)


def _half_up(side: float) -> int:
    return math.floor(side + 0.5)

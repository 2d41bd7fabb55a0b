"""Drawn videos, one for each video, camera and stream."""

import os
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from detkit.errors import DataError
from detkit.predictions.saves.pictures import PicturesSave
from detkit.predictions.saves.result import Result, Target
from detkit.predictions.sources import Source

# Of a container and its code; the second one needs no FFmpeg.
CODES = ((".mp4", "mp4v"), (".avi", "MJPG"))


class _Open(NamedTuple):
    """A video that is being written under the name ``part``."""

    source: Source
    writer: cv2.VideoWriter
    size: Tuple[int, int]
    path: Path
    part: Path


class VideoSave:
    """NAME.mp4 of each video, camera and stream, with the detections drawn into all frames.

    If OpenCV cannot write MPEG-4, it is NAME.avi of JPEGs. Image files are left out. A frame of
    another size than the first, as of a camera that came back, is resized. The file has its name
    when its last frame is written or the run is interrupted, and is ``NAME.part.mp4`` before.
    """

    def __init__(self, target: Target) -> None:
        self._folder = target.folder
        self._open: Optional[_Open] = None

    def add(self, result: Result) -> None:
        """Writes a frame."""
        source = result.frame.source
        if result.frame.number is None:
            return
        if self._open is None or self._open.source is not source:
            self.close()
            self._open = _opened(self._folder, result)
        bgr = cv2.cvtColor(result.drawn, cv2.COLOR_RGB2BGR)
        self._open.writer.write(_of_size(bgr, self._open.size))

    def close(self) -> None:
        """Completes the video."""
        if self._open is None:
            return
        done, self._open = self._open, None
        done.writer.release()
        try:
            os.replace(done.part, done.path)
        except OSError as error:
            raise DataError(f"{done.path}: cannot be written: {error.strerror}") from error


class DrawnSave:
    """The drawn images as PicturesSave writes them, and all else as VideoSave does."""

    def __init__(self, target: Target) -> None:
        self._pictures, self._videos = PicturesSave(target), VideoSave(target)

    def add(self, result: Result) -> None:
        """Writes a drawn image, or a frame."""
        if result.frame.number is None:
            self._pictures.add(result)
        self._videos.add(result)

    def close(self) -> None:
        """Completes the last video."""
        self._videos.close()


def _opened(folder: Path, result: Result) -> _Open:
    size = result.width - result.width % 2, result.height - result.height % 2
    for suffix, code in CODES:
        path = folder / f"{result.frame.source.name}{suffix}"
        part = path.with_name(f"{result.frame.source.name}.part{suffix}")
        letters = cv2.VideoWriter_fourcc(*code)  # type: ignore[attr-defined]
        writer = cv2.VideoWriter(str(part), letters, result.frame.rate, size)
        if writer.isOpened():
            return _Open(result.frame.source, writer, size, path, part)
    raise DataError(
        f"{path}: expected an OpenCV that writes MPEG-4 or JPEGs, and a folder that can be written "
        "to, found that it cannot be opened; save pictures instead"
    )


def _of_size(bgr: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns the frame in the size of the video; codes of video take even sizes alone."""
    width, height = size
    if 0 <= bgr.shape[1] - width <= 1 and 0 <= bgr.shape[0] - height <= 1:
        return np.ascontiguousarray(bgr[:height, :width])
    return cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)

"""Videos, cameras and streams as OpenCV opens them, and what happens if one is lost."""

import logging
import time
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Protocol, Tuple

import cv2
import numpy as np

from detkit.errors import DataError
from detkit.predictions.sources import CAMERA, STREAM, Source
from detkit.wording import counted

log = logging.getLogger(__name__)

# Seconds before the attempts to open a stream again; the last one counts for all that follow.
BACKOFF = (1.0, 2.0, 5.0)
RETRY_FOR = 60.0  # seconds without a frame after which a stream is given up
TIMEOUT = (
    5000  # milliseconds after which OpenCV gives up opening an address, or waiting for a frame
)
MOST_RATE = 1000.0  # frames a second; more is no rate


class Capture(Protocol):
    """The protocol of cv2.VideoCapture."""

    def read(self) -> Tuple[bool, Any]:
        """Returns (True, the next frame (H, W, 3) uint8 BGR), or (False, None)."""

    def get(self, key: int) -> float:
        """Returns a property; 0 if it is not known."""

    def release(self) -> None:
        """Closes it."""


class Waiting(NamedTuple):
    """The time for which a lost stream is waited for.

    retry_for: the seconds without a frame after which it is given up.
    clock: the time in seconds.
    pause: waits for some seconds.
    """

    retry_for: float = RETRY_FOR
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], Any] = time.sleep


class Given:
    """An open video: its frames, its size in pixels and its frames a second, 0 if it is not known.

    stated: the number of frames in its header; 0 or less if it is not known.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 0 < rate <= MOST_RATE else 0.0
        self.stated = self._whole(cv2.CAP_PROP_FRAME_COUNT)
        self.size = self._whole(cv2.CAP_PROP_FRAME_WIDTH), self._whole(cv2.CAP_PROP_FRAME_HEIGHT)

    def _whole(self, key: int) -> int:
        value = self._capture.get(key)
        return int(value) if np.isfinite(value) else 0

    def images(self) -> Iterator[np.ndarray]:
        """Yields the frames (H, W, 3) uint8 BGR until one cannot be read."""
        while True:
            is_there, image = self._capture.read()
            if not is_there or image is None:
                return
            yield image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)

    def close(self) -> None:
        """Closes it."""
        self._capture.release()


def open_capture(source: Source) -> Optional[Capture]:
    """Returns the open video, camera or address; None if OpenCV cannot open it."""
    options: List[int] = []
    if source.kind == CAMERA:
        capture = cv2.VideoCapture(int(source.path))
    elif source.kind == STREAM:
        for key in (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC):
            options += [key, TIMEOUT]
        capture = cv2.VideoCapture(source.path, cv2.CAP_FFMPEG, options)
    else:
        capture = cv2.VideoCapture(source.path)
    # Upright, as a telephone was held: the default depends on the version of OpenCV.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture if capture.isOpened() else None


def live_frames(
    source: Source,
    opened: Callable[[Source], Optional[Capture]],
    waiting: Waiting,
    check: Callable[[Source, Given], None],
) -> Iterator[Tuple[np.ndarray, Given]]:
    """Yields (frame, its video) of a camera or an address, which is opened again if it is lost.

    check: called with each video that was opened; may raise an error.

    The attempts follow each other after 1, 2, 5, 5, ... seconds. A video behind an address that has
    a last frame ends with it. Raises DataError after ``waiting.retry_for`` seconds without a frame.
    """
    count, attempts, last = 0, 0, waiting.clock()
    while True:
        capture = opened(source)
        if capture is not None:
            given = Given(capture)
            try:
                check(source, given)
                for number, image in enumerate(given.images(), 1):
                    if attempts:
                        log.warning("%s: found again", source.shown, extra={"notice": True})
                    count, attempts, last = count + 1, 0, waiting.clock()
                    yield image, given
                    if number == given.stated:
                        return
            finally:
                given.close()
        if not _waits(source, waiting, count, attempts, last):
            raise DataError(
                f"{source.shown}: expected frames, found none for {waiting.retry_for:g} s after "
                f"{counted(count, 'frame')}; check the address and the network, or raise "
                "--retry-for"
            )
        attempts += 1


def _waits(source: Source, waiting: Waiting, count: int, attempts: int, last: float) -> bool:
    """Says that the source is lost and waits; returns False if it was lost for too long."""
    pause = BACKOFF[min(attempts, len(BACKOFF) - 1)]
    if waiting.clock() - last + pause > waiting.retry_for:
        return False
    what = f"lost after {counted(count, 'frame')}" if count else "cannot be opened"
    log.warning("%s: %s; trying again in %g s", source.shown, what, pause)
    waiting.pause(pause)
    return True

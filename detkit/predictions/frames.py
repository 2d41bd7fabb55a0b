"""The frames of sources, one after the other: image files, videos, cameras and streams."""

import itertools
import logging
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from detkit.data.images import MAX_PIXELS, decode_image
from detkit.errors import DataError, ImageError
from detkit.predictions.captures import Capture, Given, Waiting, live_frames, open_capture
from detkit.predictions.sources import IMAGE, VIDEO, Source
from detkit.wording import counted

log = logging.getLogger(__name__)

RATE = 25.0  # frames a second of a video that does not state it
MISSING = 2  # frames by which the number in a video's header is usually wrong
NUMBER = "/{:06d}"  # of a frame, behind the name of its video


class Frame(NamedTuple):
    """One image on its way through a detector.

    source: what it is from.
    image: (H, W, 3) uint8 RGB.
    name: the name of its results without a suffix; a frame has "/" and its number behind the name
        of its video.
    number: the position in its video, from 0; None for an image file.
    rate: the frames a second of its video.
    proposals: boxes (R, 4) in pixels of the image, or None.
    """

    source: Source
    image: np.ndarray
    name: str
    number: Optional[int] = None
    rate: float = RATE
    proposals: Optional[np.ndarray] = None

    @property
    def seconds(self) -> Optional[float]:
        """The time in its video at the rate that the video states; None for an image file."""
        return None if self.number is None else self.number / self.rate


class Frames:
    """The frames of all sources, in order; an iterable that is read once.

    sources: see find_sources.
    proposals: boxes (R, 4) of each source, all of which are then image files; or None.
    max_pixels: the largest number of pixels of an image that is decoded.
    waiting: how long a lost stream is waited for.
    opened: opens a video, for tests.

    An image that cannot be read is logged and left out, and so is what is missing of a video. A
    camera or a stream that is lost is opened again until ``waiting`` ends.

    unread: the number of sources that could not be read, or not to their end.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        proposals: Optional[Sequence[np.ndarray]] = None,
        max_pixels: int = MAX_PIXELS,
        waiting: Optional[Waiting] = None,
        opened: Callable[[Source], Optional[Capture]] = open_capture,
    ) -> None:
        self.unread = 0
        self._sources = sources
        self._proposals: Iterable[Optional[np.ndarray]] = proposals or itertools.repeat(None)
        self._max_pixels, self._opened = max_pixels, opened
        self._waiting = waiting or Waiting()

    def __iter__(self) -> Iterator[Frame]:
        readers: Dict[str, Callable[[Source], Iterator[Frame]]] = {VIDEO: self._of_video}
        for source, boxes in zip(self._sources, self._proposals):
            try:
                if source.kind == IMAGE:
                    image = decode_image(source.path, self._max_pixels)
                    yield Frame(source, image, source.name, proposals=boxes)
                else:
                    yield from readers.get(source.kind, self._of_stream)(source)
            except (ImageError, DataError) as error:
                self.unread += 1
                log.warning("skipped: %s", error, extra={"notice": True})

    def _of_video(self, source: Source) -> Iterator[Frame]:
        """Yields the frames of a file, upright, and says what is missing."""
        capture = self._opened(source)
        if capture is None:
            raise ImageError(
                f"{source.path}: expected a video that OpenCV can read, found one that it cannot "
                "open; it may be truncated, or have another format"
            )
        given = Given(capture)
        try:
            self._check_size(source, given)
            count = 0
            for count, image in enumerate(given.images(), 1):
                yield self._frame(source, image, count - 1, given.rate)
        finally:
            given.close()
        if count == 0:
            raise ImageError(f"{source.path}: expected a video, found no frame that can be decoded")
        if given.stated - count > MISSING:
            log.warning(
                "%s: expected the %d frames of its header, found %d that can be read; the file may "
                "be truncated",
                source.path,
                given.stated,
                count,
            )

    def _of_stream(self, source: Source) -> Iterator[Frame]:
        """Yields the frames of a camera or an address. Raises DataError if it is lost for good."""
        for number, (image, given) in enumerate(
            live_frames(source, self._opened, self._waiting, self._check_size)
        ):
            yield self._frame(source, image, number, given.rate)

    def _check_size(self, source: Source, given: Given) -> None:
        """Raises ImageError for a video whose frames have more pixels than is allowed."""
        width, height = given.size
        if width * height > self._max_pixels:
            raise ImageError(
                f"{source.shown}: expected frames of at most {self._max_pixels} pixels, found "
                f"{width} x {height}"
            )

    @staticmethod
    def _frame(source: Source, bgr: np.ndarray, number: int, rate: float) -> Frame:
        image = np.ascontiguousarray(bgr[:, :, ::-1])
        return Frame(source, image, source.name + NUMBER.format(number), number, rate or RATE)


def batches(frames: Iterator[Frame], size: int) -> Iterator[List[Frame]]:
    """Yields lists of up to ``size`` frames; images of one source, or files, go together."""
    batch: List[Frame] = []
    try:
        for frame in frames:
            if batch and not _go_together(batch[-1], frame):
                yield batch
                batch = []
            batch.append(frame)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        getattr(frames, "close", lambda: None)()


def _go_together(one: Frame, other: Frame) -> bool:
    return one.source is other.source or one.source.kind == other.source.kind == IMAGE


def described(sources: Sequence[Source]) -> str:
    """Returns "3 images, 1 video" of sources."""
    kinds = [source.kind for source in sources]
    return ", ".join(counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))

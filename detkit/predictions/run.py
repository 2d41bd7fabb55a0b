"""Frames through a detector into files: what ``detkit predict`` and ``detkit label`` share."""

import contextlib
import logging
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np

from detkit.data.tiling import TakesBatches, Tiled
from detkit.detections import Detections
from detkit.predictions.frames import Frame, Frames, batches
from detkit.predictions.pipeline import DEPTH, Pipeline, Rate
from detkit.predictions.saves.result import Result, Save
from detkit.threshold import UNCHOSEN, Threshold
from detkit.wording import counted

log = logging.getLogger(__name__)

Read = Tuple[List[Frame], Any]  # with the Batch of the frames, as the detector makes it
Found = Tuple[List[Frame], List[Detections]]
Select = Callable[[Detections], Detections]


class Heard(Protocol):
    """The protocol of what is called with each result after it was saved."""

    def __call__(self, result: Result) -> None:
        """Hears of a result."""


def predict(
    detector: TakesBatches,
    frames: Frames,
    saves: Mapping[str, Save],
    score: Optional[float],
    batch_size: int = 1,
    heard: Optional[Heard] = None,
) -> Rate:
    """Detects in all frames, saves what is found, and returns what that took.

    score: the least score of a detection that is saved. None: the detector's threshold, or UNCHOSEN
        if it has none.
    batch_size: the number of images that go through the network at once. A Tiled detector gets one
        at a time, and only one waits before and behind it, because they are large.

    Frames are decoded and resized in one thread, drawn and written in another, while the network
    works in the caller's. The files of ``saves`` are complete afterwards, also after an error of
    any stage and after KeyboardInterrupt, which are raised.
    """
    write = _Writer(list(saves.values()), _selection(detector.threshold, score), heard)

    def work(read: Read) -> Found:
        return read[0], detector.detect_batch(read[1])

    size, depth = (1, 1) if isinstance(detector, Tiled) else (batch_size, DEPTH)
    pipeline = Pipeline(_prepared(detector, frames, size), work, write, _is_live, depth)
    with contextlib.ExitStack() as stack:
        for save in saves.values():
            stack.callback(save.close)
        try:
            rate = pipeline.run()
        except KeyboardInterrupt:
            log.info("%s saved before the interrupt", counted(write.count, "image"))
            raise
    return rate._replace(items=write.count)


class _Writer:
    """The last stage: it gives each result to all forms, and counts.

    heard: see predict. select: returns those of an image's detections that are saved.
    """

    def __init__(self, saves: Sequence[Save], select: Select, heard: Optional[Heard]) -> None:
        self.count = 0
        self._saves, self._select, self._heard = saves, select, heard

    def __call__(self, found: Found) -> None:
        for frame, detections in zip(*found):
            result = Result(self.count, frame, self._select(detections))
            for save in self._saves:
                save.add(result)
            if self._heard is not None:
                self._heard(result)
            self.count += 1


def _selection(threshold: Optional[Threshold], score: Optional[float]) -> Select:
    """Returns the function that selects the detections of an image, see predict."""
    if score is None and threshold is not None:
        chosen = threshold
        return lambda found: found[chosen.keeps(found)]
    least = UNCHOSEN if score is None else score
    return lambda found: found[found.scores >= least]


def _prepared(detector: TakesBatches, frames: Iterable[Frame], size: int) -> Iterable[Read]:
    """Yields batches as the network takes them."""
    for batch in batches(iter(frames), size):
        images = [frame.image for frame in batch]
        given = [frame.proposals for frame in batch]
        proposals: Optional[Sequence[np.ndarray]] = None
        if given[0] is not None:
            proposals = [boxes for boxes in given if boxes is not None]
        yield batch, detector.batch(images, proposals)


def _is_live(read: Read) -> bool:
    return read[0][0].source.is_live


def described(rate: Rate) -> str:
    """Returns a line on the speed of a run, and on what the network waited for."""
    seconds = max(rate.seconds, 1e-9)
    waits = {"images": rate.waited_for_reading, "files": rate.waited_for_writing}
    shares = ", ".join(f"{100 * wait / seconds:.0f} % for {what}" for what, wait in waits.items())
    dropped = f"; {counted(rate.dropped, 'frame')} left out, which came too fast"
    return (
        f"{counted(rate.items, 'image')} in {rate.seconds:.1f} s, {rate.items / seconds:.2f} a "
        f"second; the network waited {shares}{dropped * (rate.dropped > 0)}"
    )


def telling(say: Callable[[str], None], places: Callable[[Result], str]) -> Heard:
    """Returns a function that says what was found in an image, and how many frames a video has.

    say: prints a line.
    places: the place of a result's drawn image, or "".
    """
    counts: Dict[str, int] = {}

    def heard(result: Result) -> None:
        frame, place = result.frame, places(result)
        if frame.number is None:
            names = ", ".join(f"{one.name} {one.score:.2f}" for one in result.found)
            arrow = f" -> {place}" if place else ""
            say(f"{frame.source.shown}{arrow}: {names or 'nothing'}")
        elif frame.source.name not in counts:
            counts[frame.source.name] = 1
            say(f"{frame.source.shown}: {result.width} x {result.height} pixels")

    return heard

"""Detections, times and memory of the forms: each in its own process, and all of them in turns."""

import contextlib
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import numpy as np

from detkit.commands.forms import worker
from detkit.commands.forms.candidates import Form
from detkit.commands.forms.judging import JUDGES, Images, Judge, share_equal
from detkit.detections import Detections
from detkit.errors import DetkitError, ExportError
from detkit.export.manifest import FLOAT32

CHUNK = 16  # images that are detected at a time, because masks take memory
SLOW = 95  # the percentile beside the median


class Measured:
    """A form with what was measured of it.

    failure: why it could not be run, or None. opened: what its process said. metrics: those of the
    evaluator, none without one. equal: the share of its detections that float32 has, too, or None.
    skipped: images that could not be decoded. times: milliseconds of each timed image. peak: the
    largest resident memory of its process in bytes, None if unknown.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.failure: Optional[str] = None
        self.opened: Optional[worker.Opened] = None
        self.metrics: Dict[str, Any] = {}
        self.equal: Optional[float] = None
        self.skipped = 0
        self.times: List[float] = []
        self.peak: Optional[int] = None

    @property
    def title(self) -> str:
        """The name with the runtime."""
        return f"{self.form.name} by {self.form.runtime}"

    @property
    def median(self) -> float:
        """The median of the milliseconds of an image."""
        return float(np.median(self.times))

    @property
    def slow(self) -> float:
        """The percentile SLOW of the milliseconds of an image."""
        return float(np.percentile(self.times, SLOW))

    @property
    def ap(self) -> Optional[float]:
        """The metric that decides, or None without an evaluator."""
        return next((self.metrics[name] for name in JUDGES if name in self.metrics), None)


class Side:
    """The process of a form."""

    def __init__(self, form: Form, device: str, threads: Optional[int]) -> None:
        self._form = form
        self._address = form.path, form.runtime, device
        # A child that was forked would have the memory of this process, and MXNet's engine without
        # its threads.
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._threads = threads

    def open(self) -> worker.Opened:
        """Returns what is known of the detector. Raises the errors of detkit.load."""
        opened: worker.Opened = self._ask(worker.open_form, *self._address, self._threads)
        return opened

    def detect(self, images: Sequence[str]) -> List[Optional[Detections]]:
        """Returns the Detections of each image, None for one that cannot be decoded."""
        found: List[Optional[Detections]] = []
        for start in range(0, len(images), CHUNK):
            found += self._ask(worker.detect, self._address, images[start : start + CHUNK])
        return found

    def time_round(self, images: Sequence[str]) -> List[float]:
        """Returns the milliseconds of each image."""
        return list(self._ask(worker.time_round, self._address, images))

    def peak(self) -> Optional[int]:
        """Returns the largest resident memory of the process so far, in bytes."""
        peak: Optional[int] = self._ask(worker.peak_memory)
        return peak

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown()

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return self._pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise ExportError(
                f"{self._form.path}: {self._form.runtime}: expected a process that detects, found "
                "that it ended; the machine may have no memory left"
            ) from error


class Measurement:
    """The forms while they are measured; a ``with`` block ends their processes.

    rows: one for each form. readable: the paths of the images that can be decoded.
    """

    def __init__(self, forms: Sequence[Form], device: str, threads: Optional[int]) -> None:
        self.rows = [Measured(form) for form in forms]
        self.readable: List[str] = []
        self._device, self._threads = device, threads
        self._sides: Dict[int, Side] = {}
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> "Measurement":
        return self

    def __exit__(self, *_: Any) -> None:
        self._ends.close()

    def compare(self, images: Images, judge: Optional[Judge]) -> None:
        """Lets every form detect, and judges what it finds; the first in float32 is the measure."""
        first: Optional[List[Optional[Detections]]] = None
        for number, row in enumerate(self.rows):
            print(f"{row.title}: detecting in {len(images.paths)} images", flush=True)
            found: List[Optional[Detections]] = []
            with self._failing(row):
                side = self._sides[number] = Side(row.form, self._device, self._threads)
                self._ends.callback(side.close)
                row.opened, found = side.open(), side.detect(images.paths)
            if row.opened is None or row.failure:
                continue
            row.skipped = found.count(None)
            self.readable = [path for path, one in zip(images.paths, found) if one is not None]
            if judge is not None:
                known = {i: one for i, one in zip(images.ids, found) if one is not None}
                row.metrics = judge.metrics(known)
            if first is None and row.form.precision == FLOAT32:
                first = found
            if first is not None:
                row.equal = share_equal(first, found, row.opened.threshold)

    def time(self, images: Sequence[str], rounds: int) -> None:
        """Times the forms in turns: each takes all images, then the next; one round is not timed.

        A machine that is slower for a while is slower for all of them.
        """
        for turn in range(1 + rounds):
            for number, side in self._running():
                row = self.rows[number]
                with self._failing(row):
                    times = side.time_round(images)
                    if turn:
                        row.times += times
        for number, side in self._running():
            with self._failing(self.rows[number]):
                self.rows[number].peak = side.peak()

    def _running(self) -> Iterator[Any]:
        return iter([pair for pair in self._sides.items() if not self.rows[pair[0]].failure])

    @contextlib.contextmanager
    def _failing(self, row: Measured) -> Iterator[None]:
        """Notes an error of a form, which does not stop the others."""
        try:
            yield
        except DetkitError as error:
            row.failure = str(error)
            print(f"left out: {row.title}: {error}", file=sys.stderr, flush=True)

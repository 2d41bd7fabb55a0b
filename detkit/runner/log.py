"""The output of a run: log.jsonl and log.txt, its lines by ``logging``, a bar on a terminal."""

import json
import logging
import math
import os
import sys
from contextlib import contextmanager
from typing import Any, Iterator, Optional, TextIO

from tqdm import tqdm

from detkit.cli import PROGRESS
from detkit.data.loader import Loader
from detkit.errors import DetkitError
from detkit.files.disk import sync
from detkit.files.run_log import LOG
from detkit.runner.text_log import TextLog

progress = logging.getLogger(PROGRESS)


def _has_room(stream: TextIO) -> bool:
    """Returns whether a stream is a terminal with columns; a bar on one of 0 columns is empty."""
    if not stream.isatty():
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:  # nobody knows the size
        return True


class RunLog:
    """A writer of ``log.jsonl``, one JSON object per line, and of lines for the user.

    The lines are also in ``log.txt``.

    work_dir: the folder of log.jsonl. total, done: the number of steps of the run, or None if it is
        not known, and of those that were made before; a run of 0 steps has no bar.

    The lines for the user are logged by the logger ``cli.PROGRESS``, which tools show, and other
    programs may show, redirect or silence. They end when the terminal or the pipe is closed; the
    run goes on without them.
    """

    def __init__(self, work_dir: str, total: Optional[int], done: int = 0):
        self._path = os.path.join(work_dir, LOG)
        self._interactive = _has_room(sys.stderr)
        self._text = TextLog(work_dir)
        self._closed = False  # whether nobody reads the lines any more
        self._bar = tqdm(
            total=total,
            initial=done,
            disable=not self._interactive or total == 0,
            unit="step",
            dynamic_ncols=True,
        )

    @property
    def is_new(self) -> bool:
        """Whether the log has no record."""
        return not os.path.exists(self._path)

    def write(self, kind: str, **fields: Any) -> None:
        """Appends a record; numbers that are not finite become null. Raises DetkitError."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(_finite({"kind": kind, **fields})) + "\n")
        except OSError as error:
            raise DetkitError(
                f"{self._path}: cannot be written: {error.strerror}; make room or correct the "
                "permissions, then continue with --resume auto"
            ) from error

    def sync(self) -> None:
        """Waits until the records are on the disk. Raises DetkitError."""
        try:
            if os.path.exists(self._path):
                sync(self._path)
        except OSError as error:
            raise DetkitError(f"{self._path}: cannot be written: {error.strerror}") from error

    def say(self, text: str) -> None:
        """Logs a line for the user."""
        self._text.write(text)
        with self._reader():
            progress.info("%s", text)

    def note(self, text: str) -> None:
        """Writes into ``log.txt`` alone what the user is told by others."""
        self._text.write(text)

    def advance(self, step: int, total: Optional[int] = None) -> None:
        """Moves the bar to ``step``; ``total`` replaces the number of steps of the run."""
        with self._reader():
            self._bar.total = total or self._bar.total
            self._bar.update(step - self._bar.n)

    def show(self, text: str, line: str) -> None:
        """Shows ``text`` beside the bar, or logs ``line`` if the output is no terminal."""
        self._text.write(line)
        with self._reader():
            if self._interactive:
                self._bar.set_postfix_str(text)
            else:
                progress.info("%s", line)

    def follow(self) -> None:
        """Begins to copy what detkit's other loggers say into ``log.txt``, until ``close``."""
        self._text.follow()

    def close(self) -> None:
        """Finishes the bar, and the copy in ``log.txt``."""
        self._text.close()
        with self._reader():
            self._bar.close()

    @contextmanager
    def _reader(self) -> Iterator[None]:
        """Survives that nobody reads the lines: a training of days must not end for that."""
        try:
            yield
        except OSError:
            if not self._closed:
                self._closed = True
                self.write("output_closed")


class FaultLog:
    """A writer of the images and boxes that a Loader skipped or dropped since the last update."""

    def __init__(self, log: RunLog, loader: Loader):
        self._log, self._loader = log, loader
        self._images = self._boxes = 0

    def update(self) -> None:
        """Records each new fault in log.jsonl, and logs a line for each skipped image."""
        for image_id, reason in list(self._loader.skipped.items())[self._images :]:
            self._log.write("bad_image", image_id=image_id, reason=reason)
            self._log.say(f"skipped {image_id}: {reason}")
        for image_id, reason in self._loader.dropped[self._boxes :]:
            self._log.write("dropped_box", image_id=image_id, reason=reason)
        self._images, self._boxes = len(self._loader.skipped), len(self._loader.dropped)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Progress of tools/benchmark.py on standard error, with a line at least every SILENCE seconds."""

import sys
import time
from typing import Callable

SILENCE = 15.0


class Progress:
    """Lines on standard error, and the time of the last one."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def say(self, text: str, after: float = 0.0) -> None:
        """Writes a line, unless the last one is younger than ``after`` seconds."""
        if time.monotonic() - self._last >= after:
            print(text, file=sys.stderr, flush=True)
            self._last = time.monotonic()

    def wait(self, ended: Callable[[float], bool], text: str) -> None:
        """Waits until ``ended(seconds)`` is true; writes ``text`` when it takes long.

        ``ended`` blocks for at most that many seconds.
        """
        started = time.monotonic()
        while not ended(max(0.0, self._last + SILENCE - time.monotonic())):
            taken = time.monotonic() - started
            self.say(f"waiting for {text}, {taken:.0f} s so far", after=SILENCE)


progress = Progress()


def duration(seconds: float) -> str:
    """Returns a duration in seconds, or in minutes from two of them on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

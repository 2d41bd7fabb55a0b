"""Says on standard error what is going on, at least every SILENCE seconds."""

import sys
import time

SILENCE = 15.0


class Progress:
    """Lines on standard error; it remembers when the last one was written."""

    def __init__(self):
        self._last = time.monotonic()

    def say(self, text, after=0.0):
        """Write a line, unless the last one is younger than ``after`` seconds."""
        if time.monotonic() - self._last >= after:
            print(text, file=sys.stderr, flush=True)
            self._last = time.monotonic()

    def wait(self, ended, text):
        """Wait until ``ended(seconds)``, which blocks for so long at most, is true; meanwhile, name
        what is waited for, ``text``."""
        started = time.monotonic()
        while not ended(max(0.0, self._last + SILENCE - time.monotonic())):
            taken = time.monotonic() - started
            self.say(f"waiting for {text}, {taken:.0f} s so far", after=SILENCE)


progress = Progress()


def duration(seconds):
    """A time to come, for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

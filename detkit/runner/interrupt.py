"""Ctrl-C and SIGTERM: finish the step, save, then go."""

import signal

from detkit.errors import DetkitError


class Interrupted(DetkitError):
    """The run was asked to stop, and has saved."""

    def __init__(self, number):
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}, everything is saved; go on with --resume auto")
        self.status = 128 + number  # what a shell reports of a process that died of the signal


class Interrupt:
    """Remembers the first SIGINT or SIGTERM within its ``with`` block; a second SIGINT raises."""

    def __init__(self):
        self.signal = None
        self._previous = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number, _):
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number

    def check(self):
        """Raise Interrupted if a signal came."""
        if self.signal is not None:
            raise Interrupted(self.signal)

"""Ctrl-C, SIGTERM and SIGHUP: the run finishes its step, saves and exits."""

import signal
from typing import Any, Dict, Optional

from detkit.errors import DetkitError


class Interrupted(DetkitError):
    """An error that ends a run which was asked to stop and has saved a checkpoint.

    number: the signal's number.
    """

    def __init__(self, number: int):
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}; everything is saved: continue with --resume auto")
        self.status = 128 + number  # what a shell reports of a process that died of the signal


class Interrupt:
    """A ``with`` block that remembers a SIGINT, SIGTERM or SIGHUP; a second SIGINT raises.

    SIGHUP comes when the terminal of the run is closed. It stays ignored under nohup.

    signal: the number of the signal that came last, or None.
    """

    def __init__(self) -> None:
        self.signal: Optional[int] = None
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number

    def check(self) -> None:
        """Raises Interrupted if a signal came."""
        if self.signal is not None:
            raise Interrupted(self.signal)

"""Ctrl-C, SIGTERM and SIGHUP: the run finishes its step, saves and exits."""

import contextlib
import os
import signal
import socket
import threading
from typing import Any, Dict, Iterator, Optional

from detkit.errors import DetkitError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANSWER = b"\nfinishing the step, saving; Ctrl-C again to stop now\n"
_STDERR = 2  # the file descriptor


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Returns a ``with`` block after which the handlers of the signals are those before it.

    A package that is used in the block may replace them.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupted(DetkitError):
    """An error that ends a run which was asked to stop and has saved a checkpoint.

    number: the signal's number.
    """

    def __init__(self, number: int):
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}; everything is saved: continue with --resume auto")
        self.status = 128 + number  # what a shell reports of a process that died of the signal


class _Answer:
    """A thread that answers the first signal at once.

    Python calls the handler of a signal only when the main thread comes back from MXNet, which may
    take as long as a step. The number of a signal is written into a socket before that.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        signal.set_wakeup_fd(self._before)
        self._writer.close()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        answered = False
        while True:
            numbers = self._reader.recv(64)
            if not numbers:
                return
            if not answered and set(numbers) & set(SIGNALS):
                answered = True
                with contextlib.suppress(OSError):  # the terminal was closed
                    os.write(_STDERR, ANSWER)


class Interrupt:
    """A ``with`` block that remembers a SIGINT, SIGTERM or SIGHUP; a second SIGINT raises.

    The first signal is answered on stderr at once. SIGHUP comes when the terminal of the run is
    closed. It stays ignored under nohup.

    signal: the number of the signal that came last, or None.
    """

    def __init__(self) -> None:
        self.signal: Optional[int] = None
        self._previous: Dict[int, Any] = {}
        self._answer: Optional[_Answer] = None

    def __enter__(self) -> "Interrupt":
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._handle)
        self._answer = _Answer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._answer is not None:
            self._answer.close()
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

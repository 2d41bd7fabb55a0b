"""Signals: the first one is answered at once, also while the main thread is in MXNet."""

import ctypes
import os
import signal
import threading
import time

import pytest

from detkit.runner.interrupt import ANSWER, Interrupt, Interrupted

LONGEST = 30  # seconds


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_answered_while_c_code_runs(capfd, number):
    released, release = os.pipe()
    said = []

    def press():
        os.kill(os.getpid(), number)
        until = time.monotonic() + LONGEST
        while time.monotonic() < until and not "".join(said):
            time.sleep(0.01)
            said.append(capfd.readouterr().err)
        os.write(release, b"x")

    thread = threading.Thread(target=press)
    with Interrupt() as interrupt:
        signal.siginterrupt(number, False)  # the call below goes on after the signal
        thread.start()
        ctypes.CDLL(None).read(released, ctypes.create_string_buffer(1), 1)
        thread.join()
    assert "".join(said) == ANSWER.decode()
    assert interrupt.signal == number
    with pytest.raises(Interrupted):
        interrupt.check()
    for each in (released, release):
        os.close(each)


def test_it_is_answered_once_and_everything_is_restored(capfd):
    before = signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1), threading.active_count()
    with Interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    after = signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1), threading.active_count()
    assert after == before
    assert capfd.readouterr().err == ANSWER.decode()

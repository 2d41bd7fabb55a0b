"""The output of a run on a terminal and elsewhere."""

import fcntl
import io
import os
import struct
import sys
import termios

import pytest

from detkit.runner.log import RunLog


def test_a_terminal_gets_a_bar_and_no_lines(tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    log = RunLog(str(tmp_path), total=4, done=1)
    log.advance(3)
    log.show("loss 1.5", "the line of a plain output")
    log.say("epoch 1: AP50 0.5")
    log.close()
    assert "3/4" in terminal.getvalue()
    assert "loss 1.5" in terminal.getvalue()
    assert capsys.readouterr().out == "epoch 1: AP50 0.5\n"


@pytest.mark.parametrize(("columns", "lines"), [(0, "a plain line\n"), (80, "")])
def test_a_terminal_of_no_columns_gets_lines(tmp_path, monkeypatch, capsys, columns, lines):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(ours, "rb", buffering=0), open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        log = RunLog(str(tmp_path), total=4)
        log.show("loss 1.5", "a plain line")
        log.close()
        assert capsys.readouterr().out == lines

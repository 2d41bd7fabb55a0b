"""The output of a run on a terminal and elsewhere."""

import ast
import fcntl
import io
import logging
import os
import re
import struct
import sys
import termios

import pytest

from detkit.cli import NOTICE, PROGRESS, terminal_output
from detkit.runner.log import RunLog
from support import tiny

COMMAND_LINES = (
    "detkit/cli.py",
    "detkit/commands/",
    "detkit/ops/build.py",
)  # the modules that may print


def test_a_terminal_gets_a_bar_and_no_lines(tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with terminal_output():
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
    with open(ours, "rb", buffering=0), open(theirs, "w") as terminal, terminal_output():
        monkeypatch.setattr(sys, "stderr", terminal)
        log = RunLog(str(tmp_path), total=4)
        log.show("loss 1.5", "a plain line")
        log.close()
        assert capsys.readouterr().out == lines


def test_a_pipe_gets_the_lines_of_a_run_and_faults_go_to_stderr(tmp_path, capsys):
    before = logging.getLogger("detkit").level
    with terminal_output():
        log = RunLog(str(tmp_path), total=4)
        log.show("loss 1.5", "step 1: loss 1.5")
        log.say("epoch 1: AP50 100%")
        logging.getLogger("detkit.files.lock").warning("%s: no locks", "work")
        logging.getLogger("detkit.ops.cache").warning("compiling", extra=NOTICE)
        logging.getLogger("detkit.build").info("read a.pth")
        logging.getLogger("detkit.build").debug("no line")
        log.close()
    RunLog(str(tmp_path), total=0).say("after the tool")
    assert logging.getLogger("detkit").level == before
    out, err = capsys.readouterr()
    assert out == "step 1: loss 1.5\nepoch 1: AP50 100%\n"
    assert err == "warning: work: no locks\ncompiling\nread a.pth\n"


def test_a_program_gets_the_lines_by_logging_alone(tmp_path, capsys, caplog):
    with caplog.at_level(logging.INFO, PROGRESS):
        log = RunLog(str(tmp_path), total=0)
        log.show("loss 1.5", "step 1: loss 1.5")
        log.say("epoch 1: AP50 50%")
    assert caplog.messages == ["step 1: loss 1.5", "epoch 1: AP50 50%"]
    assert capsys.readouterr() == ("", "")


def test_no_output_of_the_package_is_printed():
    """What is printed cannot be redirected: only command lines print."""
    texts = {
        path.relative_to(tiny.ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in (tiny.ROOT / "detkit").rglob("*.py")
    }
    printing = {
        name
        for name, text in texts.items()
        if re.search(r"\bprint\b", text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and node.id == "print"
    }
    assert {name for name in printing if not name.startswith(COMMAND_LINES)} == set()

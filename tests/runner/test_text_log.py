"""log.txt, the copy of what the terminal of a run shows."""

import logging
import re

import pytest

from detkit.cli import NOTICE, PROGRESS, terminal_output
from detkit.runner.log import RunLog
from detkit.runner.text_log import TextLog
from support import tiny

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def lines(folder):
    """The lines of log.txt without their times."""
    found = (folder / "log.txt").read_text().splitlines()
    assert all(re.match(TIME, line) or line.startswith("    ") for line in found)
    return [re.sub(TIME, "", line) for line in found]


def test_lines_and_warnings_are_there_in_order(tmp_path, capsys):
    with terminal_output():
        log = RunLog(str(tmp_path), total=0)
        log.follow()
        log.say("first\nsecond")
        logging.getLogger("detkit.data").warning("%s: odd", "a.png")
        logging.getLogger("detkit.ops").warning("compiling", extra=NOTICE)
        log.show("short", "step 1: loss 0.5")
        log.close()
        logging.getLogger("detkit.data").warning("after the run")
    expected = ["first", "    second", "warning: a.png: odd", "compiling", "step 1: loss 0.5"]
    assert lines(tmp_path) == expected


def test_the_lines_are_there_without_a_terminal_and_the_next_run_adds_its_own(tmp_path):
    assert logging.getLogger(PROGRESS).getEffectiveLevel() > logging.INFO
    for text in ("one", "two"):
        RunLog(str(tmp_path), total=0).say(text)
    assert lines(tmp_path) == ["one", "two"]


def test_a_file_that_cannot_be_written_is_left_alone(tmp_path):
    text = TextLog(str(tmp_path / "gone"))
    text.write("one")
    text.write("two")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("hook", "shown"),
    [
        (tiny.hook("Spoil", step=2), ("TrainingError", "step 2", "expected finite")),
        (tiny.hook("SignalAt", step=2), ("stopped by SIGTERM", "--resume auto")),
    ],
)
def test_the_error_that_ends_a_run_is_its_last_line(config, tmp_path, hook, shown):
    handlers = list(logging.getLogger("detkit").handlers)
    assert tiny.train(config, tmp_path, hook) != 0
    assert logging.getLogger("detkit").handlers == handlers
    tiny.assert_says(lines(tmp_path)[-1], "error: ", *shown)


def test_a_run_has_all_lines_of_its_terminal(reference):
    said = lines(reference)
    tiny.assert_says(said[0], "classes ")
    tiny.assert_says(said[-1], "written: ", "result.json")
    assert [line for line in said if "step 1/6 loss" in line]
    assert [line for line in said if "epoch 2/2: AP " in line]

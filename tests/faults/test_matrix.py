"""tools/faults.py: a row of it, and its table."""

import pytest

from support import tiny


@pytest.mark.slow
def test_a_killed_run_ends_as_the_undisturbed_one(capsys):
    assert tiny.tool("faults", "--only", "sigkill", "--times", "1") == 0
    row = capsys.readouterr().out.splitlines()[-1]
    tiny.assert_says(row, "| sigkill |", "1 kills", "bit-equal")


@pytest.mark.slow
def test_an_alternating_run_that_is_killed_in_each_stage_ends_as_the_undisturbed_one(capsys):
    assert tiny.tool("faults", "--only", "alternating", "--times", "1") == 0
    row = capsys.readouterr().out.splitlines()[-1]
    tiny.assert_says(row, "| alternating |", "1-rpn", "4-fast-rcnn", "stage bit-equal")


def test_an_unknown_row_is_refused(capsys):
    with pytest.raises(SystemExit):
        tiny.tool("faults", "--only", "meteorite")
    tiny.assert_says(capsys.readouterr().err, "meteorite", "sigkill", "disk_full")

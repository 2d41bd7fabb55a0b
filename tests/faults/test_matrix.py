"""tools/faults.py: two rows of it, and its table."""

import pytest

from support import tiny


@pytest.mark.slow
def test_killed_runs_end_as_the_undisturbed_ones(capsys):
    """A run of one stage, and an alternating one that is killed in each of its four."""
    assert tiny.tool("faults", "--only", "sigkill", "alternating", "--times", "1") == 0
    plain, alternating = capsys.readouterr().out.splitlines()[-2:]
    tiny.assert_says(plain, "| sigkill |", "1 kills", "bit-equal")
    tiny.assert_says(alternating, "| alternating |", "1-rpn", "4-fast-rcnn", "stage bit-equal")


def test_an_unknown_row_is_refused(capsys):
    with pytest.raises(SystemExit):
        tiny.tool("faults", "--only", "meteorite")
    tiny.assert_says(capsys.readouterr().err, "meteorite", "sigkill", "disk_full")

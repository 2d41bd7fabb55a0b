"""tools/trainings: the account of the steps of a run, and the figures of several."""

import sys

import pytest

from trainings.account import Account, StepError
from trainings.records import read_json, spread, write_json


def test_a_step_is_done_once(tmp_path):
    out = tmp_path / "out"
    command = sys.executable, "-c", f"open({str(out)!r}, 'a').write('x')"
    for _ in range(2):
        account = Account(tmp_path / "run")
        account.run("write", *command)
    assert out.read_text() == "x"
    assert account.minutes("write", "another") > 0
    assert 0 < account.cpu_minutes("write") < 1


def test_a_step_that_fails_keeps_its_time_and_is_done_again(tmp_path):
    command = sys.executable, "-c", "print('what went wrong'); raise SystemExit(3)"
    account = Account(tmp_path)
    for _ in range(2):
        before = account.minutes("fail")
        with pytest.raises(StepError, match="what went wrong(?s:.)*status 0, found 3"):
            account.run("fail", *command)
        assert Account(tmp_path).minutes("fail") == account.minutes("fail") > before
    assert not account.is_done("fail")


def test_the_spread_is_the_sample_deviation():
    assert spread([1.0]) == "1.0"
    assert spread([1.0, 2.0, 3.0]) == "2.0 ± 1.0"
    assert spread([1.0, 3.0], sign="+") == "+2.0 ± 1.4"
    assert spread([-1.26], digits=1, sign="+") == "-1.3"


def test_records_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "record.json"
    assert read_json(path) is None
    write_json(path, {"AP": 0.5, "name": "é"})
    assert read_json(path) == {"AP": 0.5, "name": "é"}

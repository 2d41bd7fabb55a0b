"""tools/soak_predictions.py: a short soak into every form, its rates, and a process that grows."""

import json

import pytest

from support import tiny


def test_a_short_soak(tmp_path, capsys):
    out = tmp_path / "out.json"
    words = ("--frames", 8, "--every", 1, "--size", 96, 64, "--score", 0, "--bound", 500)
    words += ("--save", "video,json,yolo", "--json", out)
    assert tiny.tool("soak_predictions", *words) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["frames"] == 8 and [sample["step"] for sample in found["samples"]] == [
        *range(1, 9)
    ]
    assert found["faults"] == []
    assert found["cost"] == pytest.approx(1 - found["per_second"] / found["alone_per_second"])
    assert found["per_second"] == pytest.approx(8 / found["seconds"])
    tiny.assert_says(printed, "prediction step 8: ", "into video, json, yolo", ": flat")


def test_growth_is_an_error(capsys):
    words = ("--frames", 8, "--every", 1, "--size", 96, 64, "--bound", -1000)
    assert tiny.tool("soak_predictions", *words) == 1
    tiny.assert_says(capsys.readouterr().err, "prediction: memory", "-1000")


def test_too_few_frames(capsys):
    with pytest.raises(SystemExit):
        tiny.tool("soak_predictions", "--frames", 100)
    tiny.assert_says(capsys.readouterr().err, "--frames", "8 times --every")

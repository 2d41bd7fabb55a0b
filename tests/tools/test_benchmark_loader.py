"""tools/benchmark_loader.py: the ways are compared, timed beside a step, and watched."""

import json

import pytest

from benchmark.loading import ways
from support import tiny

NAMES = ["one thread", "1 threads", "cache in memory", "cache on disk", "reduced decoding"]
RESIZE = "data.train_transforms=[{type: Resize, short: 100, long: 1000}]"
OPTIONS = ("--most", 2, "--times", 1, "--steps", 2, "--workers", 1)


def test_the_ways_and_the_step(tmp_path, capsys):
    out = tmp_path / "out.json"
    config = tiny.project(tmp_path)
    options = ("--set", RESIZE, "--photographs", "400x600", "--count", 3, "--json", out)
    assert tiny.tool("benchmark_loader", config, *OPTIONS, *options) == 0, capsys.readouterr().err
    found = json.loads(out.read_text())
    assert list(found["ways"]) == NAMES
    assert all(each["images"] > 0 for each in found["ways"].values())
    assert 0 < found["change"] < 20
    assert found["step"] > 0 and 0 <= found["waiting"] < 1
    printed = capsys.readouterr().out
    tiny.assert_says(printed, *NAMES, "training step", "times the rate", "data ")


def test_ways_that_load_other_pixels_are_refused(tmp_path, capsys, monkeypatch):
    def wrong(workers, folder):
        plain = ways.Way(ways.PLAIN, (), True)
        changed = ways.Way(
            "upside down", ("data.train_transforms=[{type: VerticalFlip, p: 1}]",), True
        )
        return [plain, changed]

    tool = tiny.module_of("benchmark_loader")
    monkeypatch.setattr(tool, "ways_of", wrong)
    with pytest.raises(
        ways.BenchmarkError, match="upside down: expected the batches of one thread"
    ):
        tool.main([str(tiny.project(tmp_path)), *map(str, OPTIONS)])


def test_memory_over_batches_of_changing_shapes(tmp_path, capsys):
    out = tmp_path / "out.json"
    options = ("--batches", 40, "--every", 5, "--workers", 1, "--json", out)
    assert tiny.tool("benchmark_loader", *options, "--bound", 300) == 0
    found = json.loads(out.read_text())
    assert [each["step"] for each in found["samples"]] == list(range(5, 41, 5))
    assert found["shapes"] > 20
    assert tiny.tool("benchmark_loader", *options, "--bound", -1000) == 1
    tiny.assert_says(capsys.readouterr().err, "memory", "-1000")


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((), "CONFIG or --batches"),
        (("--batches", 30, "--every", 5), "--batches: .*8 times --every"),
    ],
)
def test_wrong_arguments(capsys, arguments, says):
    with pytest.raises(SystemExit):
        tiny.tool("benchmark_loader", *arguments)
    assert says.split(".*")[-1] in capsys.readouterr().err

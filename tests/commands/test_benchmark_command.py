"""``detkit benchmark``: its arithmetic, the turns of the sides, and detectors of every kind."""

import numpy as np
import pytest

from detkit import cli
from detkit.commands import line
from detkit.commands.benchmark import table
from detkit.commands.timing import NETWORK, READ, Times, take_turns
from support import tiny
from support.projects import fast_rcnn


@pytest.fixture
def benchmark(capsys):
    """A function from arguments to what is printed, or to the error."""

    def call(*arguments, status=0):
        words = ["benchmark", *map(str, arguments)]
        assert cli.run(line.main, words) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return call


class Side:
    """A detector that notes when it is called, and with how many images."""

    max_pixels = 10_000

    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def batch(self, images):
        return images

    def outputs(self, batch):
        self.calls.append((self.name, [int(image[0, 0, 0]) for image in batch]))

    def detections(self, batch, outputs):
        return []


def test_sides_take_turns_and_the_first_round_is_not_timed():
    calls = []
    images = [np.full((8, 8, 3), n, np.uint8) for n in range(3)]
    times = take_turns([Side("a", calls), Side("b", calls)], images, batch=2, rounds=2)
    a_round = [("a", [0, 1]), ("b", [0, 1]), ("a", [2, 0]), ("b", [2, 0])]
    assert calls == 3 * a_round
    assert [len(one.of_image()) for one in times] == [4, 4]


def test_the_table_has_medians_and_their_ratio():
    stages = {READ: np.array([1.0, 2, 30]), NETWORK: np.array([9.0, 8, 70])}
    one, twice = Times(stages), Times({name: 2 * row for name, row in stages.items()})
    rows = {
        text[:20].strip(): text[20:].split() for text in table(4, {"first": one, "second": twice})
    }
    assert rows["batches of 4, in ms"] is not None
    assert rows[READ] == ["2.0", "4.0"]
    assert rows[NETWORK] == ["9.0", "18.0"]
    assert rows["all, median"] == ["10.0", "20.0"]
    assert rows["all, 90 %"] == ["82.0", "164.0"]  # of 10, 10 and 100
    assert rows["images a second"] == ["100.00", "50.00"]
    assert table(4, {"first": one, "second": twice})[-1].endswith("2.00 times as long as the first")
    assert not any("times as long" in text for text in table(1, {"": one}))


def test_a_run_and_its_export_are_compared(config, reference, tmp_path, benchmark):
    last, exported = reference / "checkpoints/step-00000006", tmp_path / "exported"
    assert tiny.tool("export", config, last, "--out", exported) == 0
    words = ("--count", 2, "--rounds", 1)
    printed = benchmark(reference, "--against", exported, *words, "--batches", 1, 2)
    tiny.assert_says(printed, "2 images: the first of data.val", f"first: {reference}")
    tiny.assert_says(printed, f"second: {exported}", "batches of 1,", "batches of 2,")
    assert printed.count("times as long as the first") == 2
    assert "drawn shapes" in benchmark(exported, *words)


def test_a_config_is_timed_without_training(config, benchmark):
    assert "images a second" in benchmark(config, "--count", 1, "--rounds", 1)


def test_what_cannot_be_timed_is_refused(config, tmp_path, monkeypatch, benchmark):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    error = benchmark(config, "--threads", 3, status=1)
    tiny.assert_says(error, "--threads 3", "found one with 1 threads", "OMP_NUM_THREADS")
    words = ("--set", *fast_rcnn(tmp_path, config))
    tiny.assert_says(benchmark(config, *words, status=1), "its own proposals", "FastRCNN")
    tiny.assert_says(benchmark(tmp_path / "absent", status=1), "absent")

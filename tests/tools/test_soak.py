"""tools/soak.py: a short soak, its verdict, and a process that grows."""

import json

import numpy as np
import pytest

from soak.images import Batches, draw_picture
from soak.watch import Sample, growth, more
from support import steps, tiny


def samples(memory, files=(5,) * 8):
    return [
        Sample(100 * (n + 1), mb, count, 7, 10.0)
        for n, (mb, count) in enumerate(zip(memory, files))
    ]


def test_a_short_soak_of_both_parts(tmp_path, capsys):
    out = tmp_path / "out.json"
    options = ("--steps", 16, "--every", 2, "--bound", 200, "--json", out)
    assert tiny.tool("soak", *options) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    training, detection = json.loads(out.read_text())
    for part in (training, detection):
        assert [sample["step"] for sample in part["samples"]] == list(range(2, 17, 2))
        assert part["faults"] == []
        assert all(sample["memory"] > 50 for sample in part["samples"])
        assert all(sample["threads"] > 1 for sample in part["samples"])
        assert f"{part['part']} step 16: " in printed
        assert f"{part['part']}: 16 steps" in printed
    assert printed.count(": flat") == 2


def test_growth_is_an_error(capsys):
    options = ("--only", "detection", "--steps", 8, "--every", 1, "--bound", -1000)
    assert tiny.tool("soak", *options) == 1
    captured = capsys.readouterr()
    tiny.assert_says(captured.err, "detection: memory", "-1000")
    assert "GROWS" in captured.out


def test_a_soak_that_ends_by_the_clock_and_is_too_short(capsys):
    status = tiny.tool("soak", "--only", "training", "--hours", 1e-6, "--every", 1)
    assert status == 1
    tiny.assert_says(capsys.readouterr().err, "training", "8", "found 1", "--every")


def test_the_growth_is_that_between_the_middles_of_two_quarters():
    steady = [100 + n for n in range(1, 9)]  # 8 MB in 8 samples
    assert growth(samples(steady)) == pytest.approx(4)
    warm = [10, 90, *[100] * 6]  # the first quarter is left out
    assert growth(samples(warm)) == pytest.approx(0)
    assert growth(samples([100] * 7 + [107])) > 3


def test_files_and_threads_of_the_last_quarter_are_compared():
    assert more(samples([1] * 8, [9, 9, 5, 6, 9, 9, 6, 5]), "files") == 0
    assert more(samples([1] * 8, [5] * 7 + [7]), "files") == 2
    assert more(samples([1] * 8), "threads") == 0


@pytest.fixture
def batches(tmp_path):
    training = steps.training(tmp_path, "data.group_aspect=false")
    inputs = training.train_step.INPUTS
    return Batches(training.config, inputs, training.class_names, (32, 160), seed=3, length=60)


def test_batches_change_in_every_way_and_depend_on_the_seed(batches):
    made = list(batches.batches(epoch=0))
    assert [batch.number for batch in made] == list(range(60))
    assert {len(batch.images) for batch in made} == {1, 2, 3, 4}
    assert len({batch.images.shape[2:] for batch in made}) > 15
    counts = {int((labels >= 0).sum()) for batch in made for labels in batch.labels}
    assert 0 in counts
    assert max(counts) > 15
    again = next(batches.batches(epoch=0, start=7))
    for one, other in zip(made[7], again):
        np.testing.assert_array_equal(one, other)


def test_boxes_and_masks_are_those_of_the_rectangles():
    image, boxes, labels = draw_picture(np.random.default_rng(5), (64, 90), classes=3)
    assert len(boxes) == len(labels) > 0
    assert 48 <= image.shape[0] <= 64
    assert 67 <= image.shape[1] <= 90
    left, top, right, bottom = boxes[-1].astype(int)  # the last one covers the others
    assert len(np.unique(image[top:bottom, left:right].reshape(-1, 3), axis=0)) == 1
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [image.shape[1], image.shape[0]]).all()
    assert set(labels) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (("--sides", 160, 32), ("--sides", "32")),
        (("--steps", 100), ("--steps", "8")),
        (("--steps", 100, "--hours", 1), ("--hours",)),
    ],
)
def test_arguments_that_cannot_be(options, fragments, capsys):
    with pytest.raises(SystemExit):
        tiny.tool("soak", *options)
    tiny.assert_says(capsys.readouterr().err, *fragments)

"""The picture of a run: what it shows, and that no failure of it ends a training."""

import cv2
import numpy as np
import pytest

from detkit.files.run_log import Series, read_series
from detkit.runner.curves import CurvesHook, draw_curves, write_curves
from support import tiny

STEPS = list(range(1, 41))
LOSSES = {
    "train/loss": Series(STEPS, [4.0 / step for step in STEPS]),
    "train/rpn_class": Series(STEPS, [3.0 / step for step in STEPS]),
    "train/lr": Series(STEPS, [0.01] * 40),
    "train/memory_mb": Series(STEPS, [900.0] * 40),
}
JUDGED = {
    "val/loss": Series([20, 40], [0.5, 0.4]),
    "val/rpn_class": Series([20, 40], [0.4, 0.3]),
    "metrics/AP": Series([20, 40], [0.25, 0.5]),
    "metrics/AP50": Series([20, 40], [0.5, 0.75]),
    "metrics/AP75": Series([20, 40], [0.1, 0.2]),
}


def panels(series):
    picture = draw_curves(series)
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return [
        picture[top : top + height, left : left + width]
        for top in (0, height)
        for left in (0, width)
    ]


def changed(one, other):
    """Which of the four panels differ."""
    return [bool((a != b).any()) for a, b in zip(panels(one), panels(other))]


def test_each_series_is_in_its_panel():
    without = {**LOSSES, **JUDGED}
    for name, panel in (
        ("val/loss", [True, False, False, False]),
        ("val/rpn_class", [False, True, False, False]),
        ("train/lr", [False, False, True, False]),
        ("metrics/AP50", [False, False, False, True]),
        ("metrics/AP75", [False] * 4),
        ("train/memory_mb", [False] * 4),
    ):
        rest = {key: each for key, each in without.items() if key != name}
        assert changed(without, rest) == panel, name


def test_metrics_of_another_evaluator_are_drawn_as_they_come():
    recall = {**LOSSES, "metrics/AR100": Series([20], [0.5])}
    assert changed(LOSSES, recall) == [False, False, False, True]


def test_a_run_has_its_curves(reference):
    picture = cv2.imread(str(reference / "curves.png"))
    assert picture.shape == (840, 1440, 3)
    again = draw_curves(read_series(reference / "log.jsonl"))
    np.testing.assert_array_equal(picture[..., ::-1], again)


def test_a_log_without_a_training_has_no_picture(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"kind": "evaluate", "step": 4, "AP": 0.5}\n')
    assert write_curves(str(tmp_path)) is False
    assert not (tmp_path / "curves.png").exists()


def test_a_failure_is_told_once(tmp_path, caplog):
    hook = CurvesHook(str(tmp_path / "gone"))
    for _ in range(3):
        hook.evaluate(None)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    tiny.assert_says(record.getMessage(), "curves.png", "goes on")


def test_it_draws_only_what_is_new(tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    log.write_text('{"kind": "train", "step": 4, "loss": 0.5}\n')
    hook = CurvesHook(str(tmp_path))
    hook.evaluate(None)
    (tmp_path / "curves.png").unlink()
    hook.finish(None)
    assert not (tmp_path / "curves.png").exists()
    log.write_text(log.read_text() * 2)
    hook.finish(None)
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("count", [1, 2])
def test_a_short_run_can_be_drawn(count):
    assert panels({"train/loss": Series(STEPS[:count], [1.0] * count)})[0].shape == (420, 720, 3)

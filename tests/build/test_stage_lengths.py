"""Stages that have ended, and go on with more epochs, steps, time or patience."""

import shutil

import pytest

from detkit.build import open_config
from detkit.build.stage_checks import goes_on
from detkit.checkpoints import Progress, Spent, load_checkpoint
from support import tiny


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("train.epochs=2",), False),
        (("train.epochs=3",), True),
        (("train.epochs=3", "train.patience=3"), False),
        (("train.epochs=3", "train.patience=4"), True),
        (("train.epochs=null", "train.steps=6"), False),
        (("train.epochs=null", "train.steps=7"), True),
        (("train.epochs=null", "train.time=25s"), False),  # 4 s of them are the final evaluation's
        (("train.epochs=null", "train.time=30s"), True),
        (("train.epochs=2", "train.time=30s"), False),
    ],
)
def test_a_stage_goes_on_if_it_gets_more(config, reference, overrides, expected):
    """It has made two epochs of three steps in 21 s, and three evaluations since the best."""
    end = load_checkpoint(str(reference / "checkpoints/step-00000006"))
    assert end.progress == Progress(6, 2, 0)
    end = end._replace(stale=3, spent=Spent(21.0, 4.0, 1.0))
    assert goes_on(open_config(config, overrides), end) == expected


def test_a_stage_goes_on_with_more_time(config, tmp_path, capsys):
    one = ("stages=[{name: one}]", "train.epochs=null")
    assert tiny.train(config, tmp_path, *one, "train.time=2s") == 0
    before = tiny.records(tmp_path / "stages/one", "train")[-1]["step"]
    resumed = (config, "--work-dir", tmp_path, "--resume", "auto", "--set", *one, "train.time=4s")
    message = tiny.refused(capsys, "train", *resumed)
    tiny.assert_says(message, "stages/one", "train.time", "joined detector")
    shutil.rmtree(tmp_path / "checkpoints")
    assert tiny.train(config, tmp_path, *one, "train.time=4s", resume="auto") == 0
    after = tiny.records(tmp_path / "stages/one", "train")[-1]["step"]
    assert after > before
    assert (tmp_path / f"checkpoints/step-{after:08d}").is_dir()

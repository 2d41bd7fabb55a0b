"""A run that was stopped, killed or moved goes on bit for bit, on the CPU: weights and momenta."""

import json
import os
import signal

import pytest

from detkit.detector import Detector
from support import tiny

LAST = "checkpoints/step-00000006"


def test_two_runs_are_the_same(config, reference, tmp_path):
    assert tiny.train(config, tmp_path, "data.workers=2") == 0
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


def test_one_epoch_and_one_resumed_are_two(config, reference, tmp_path):
    assert tiny.train(config, tmp_path, "train.epochs=1") == 0
    assert tiny.train(config, tmp_path, "data.workers=2", resume="auto") == 0
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


@pytest.mark.parametrize("steps", [(1,), (3,), (4,), (2, 5), (6,)], ids=str)
def test_a_run_stopped_anywhere_goes_on(config, reference, tmp_path, steps):
    for step, resume in zip(steps, (None, "auto")):
        assert (
            tiny.train(
                config, tmp_path, tiny.hook("SignalAt", step=step), resume=resume, force=True
            )
            == 143
        )
        assert f"step-{step:08d}" in tiny.checkpoints(tmp_path)
    assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)
    results = [json.loads((run / "result.json").read_text()) for run in (reference, tmp_path)]
    assert results[0] == results[1]


def test_a_run_goes_on_within_an_accumulation(config, tmp_path):
    chosen = ("train.accumulate=2", "train.clip_norm=1")
    assert tiny.train(config, tmp_path / "whole", *chosen) == 0
    stopped = (*chosen, tiny.hook("SignalAt", step=3))
    assert tiny.train(config, tmp_path / "parts", *stopped) == 143
    assert tiny.train(config, tmp_path / "parts", *chosen, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)


def test_a_run_goes_on_from_a_named_checkpoint_in_another_folder(config, reference, tmp_path):
    start = reference / "checkpoints/step-00000003"
    assert tiny.train(config, tmp_path, resume=start) == 0
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


def test_an_evaluation_that_was_stopped_is_made_up_for(config, reference, tmp_path, monkeypatch):
    genuine = Detector.detect_batch

    def stopped(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return genuine(*arguments)

    for resume in (None, "auto"):
        with monkeypatch.context() as patched:
            patched.setattr(Detector, "detect_batch", stopped)
            assert tiny.train(config, tmp_path, "data.val.length=8", resume=resume) == 143
    assert len(tiny.records(tmp_path, "evaluate")) == 0
    assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    assert [record["epoch"] for record in tiny.records(tmp_path, "evaluate")] == [1, 2]
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)
    assert "best" in tiny.checkpoints(tmp_path)


def test_plugins_that_draw_from_global_generators_go_on_too(config, tmp_path):
    draws = tiny.hook("Draw")
    assert tiny.train(config, tmp_path / "whole", draws) == 0
    both = "train.hooks=[{type: Draw}, {type: SignalAt, step: 4}]"
    assert tiny.train(config, tmp_path / "parts", both) == 143
    assert tiny.train(config, tmp_path / "parts", draws, resume="auto", force=True) == 0
    states = [
        json.loads((tmp_path / run / LAST / "state.json").read_text()) for run in ("whole", "parts")
    ]
    assert states[0]["random"] == states[1]["random"]


@pytest.mark.parametrize(
    ("function", "call", "left"),
    [
        ("mx.nd.save", 4, [".partial-step-00000006", "best", "step-00000003"]),
        ("os.rename", 2, [".partial-step-00000006", "best", "step-00000003"]),
        ("os.rename", 1, [".partial-step-00000003"]),
    ],
)
def test_a_run_killed_while_it_saved_goes_on(config, reference, tmp_path, function, call, left):
    """Only the weights written; everything but the name; the same for the first save of all."""
    dying = tiny.hook("DieWhileSaving", function=function, call=call)
    killed = tiny.spawn("train", config, "--work-dir", tmp_path, "--set", dying)
    assert killed.returncode == -signal.SIGKILL
    assert tiny.checkpoints(tmp_path) == left
    assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003", "step-00000006"]


def test_a_run_killed_between_two_renames_goes_on(config, reference, tmp_path, capsys):
    """When a checkpoint is replaced by another of its name, both have other names for a moment."""
    assert tiny.train(config, tmp_path, tiny.hook("SignalAt", step=4)) == 143
    folder = tmp_path / "checkpoints"
    (folder / "step-00000004").rename(folder / ".partial-step-00000004.old")
    (folder / ".partial-step-00000004").mkdir()
    assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    assert f"{folder}/step-00000004, step 4" in capsys.readouterr().out
    left = set(tiny.checkpoints(tmp_path))
    assert left - {"step-00000003"} == {"best", "step-00000004", "step-00000006"}  # 3 if it is best
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


def name_best(run, name):
    (run / "checkpoints/best").write_text(json.dumps({"checkpoint": name}))


@pytest.mark.parametrize("killed", ["before the first name", "before a better one"])
def test_a_run_killed_before_best_named_its_checkpoint_names_it(config, tmp_path, killed):
    assert tiny.train(config, tmp_path) == 0
    best = tiny.best(tmp_path).name
    (other,) = {"step-00000003", "step-00000006"} - {best}
    (tmp_path / "checkpoints/best").unlink()
    if killed == "before a better one":
        name_best(tmp_path, other)
    assert tiny.train(config, tmp_path, resume="auto") == 0
    assert tiny.best(tmp_path).name == best


def test_best_stays_if_it_names_one_of_two_equal_checkpoints(config, tmp_path):
    assert tiny.train(config, tmp_path) == 0
    for name in ("step-00000003", "step-00000006"):
        state = json.loads((tmp_path / "checkpoints" / name / "state.json").read_text())
        state["metrics"]["AP50"] = state["best"] = 0.5
        tiny.rewrite_state(tmp_path / "checkpoints" / name, state)
    for name in ("step-00000003", "step-00000006"):
        name_best(tmp_path, name)
        assert tiny.train(config, tmp_path, resume="auto") == 0
        assert tiny.best(tmp_path).name == name  # both have the best score


def test_a_finished_run_has_nothing_to_do(config, reference, tmp_path, capsys):
    assert tiny.train(config, tmp_path) == 0
    before = (tmp_path / LAST / "weights.params").stat().st_mtime_ns
    table = capsys.readouterr().out.split("class ")[-1]
    assert tiny.train(config, tmp_path, resume="auto") == 0
    assert capsys.readouterr().out.split("class ")[-1] == table
    assert (tmp_path / LAST / "weights.params").stat().st_mtime_ns == before


def test_a_damaged_checkpoint_is_passed_over(config, reference, tmp_path, capsys):
    assert tiny.train(config, tmp_path, tiny.hook("SignalAt", step=4)) == 143
    (tmp_path / "checkpoints/step-00000004/weights.params").write_bytes(b"")
    assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    said = capsys.readouterr()
    tiny.assert_says(said.err, "warning: ", "step-00000004/weights.params: ", "sha256")
    assert "checkpoints/step-00000003, step 3" in said.out
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)

"""Runs, evaluations, checkpoints and schedules that are counted in steps instead of epochs.

The tiny config has three steps in each epoch.
"""

import json
import os
import signal

import numpy as np
import pytest

from detkit.checkpoints import Progress, load_checkpoint
from detkit.detector import Detector
from detkit.registry import SCHEDULES
from detkit.runner import Interval, Position
from support import tiny

SEVEN = ("train.epochs=null", "train.steps=7")  # the last one is the first of the third epoch
LAST = "checkpoints/step-00000007"


@pytest.fixture(scope="module")
def seven(config, tmp_path_factory):
    """The folder of a run of seven steps without interruption."""
    folder = tmp_path_factory.mktemp("seven")
    assert tiny.train(config, folder, *SEVEN) == 0
    return folder


def evaluated(work_dir):
    """The steps after which a run was evaluated."""
    return [record["step"] for record in tiny.records(work_dir, "evaluate")]


# --- the length of a run --------------------------------------------------------------------------


def test_a_run_of_steps_ends_within_an_epoch(seven):
    saved = load_checkpoint(str(seven / LAST))
    assert saved.progress == (7, 2, 1)
    assert tiny.records(seven, "train")[-1]["step"] == 7
    assert evaluated(seven) == [3, 6, 7]  # every epoch, and the end
    assert tiny.records(seven, "evaluate")[-1]["epoch"] == pytest.approx(7 / 3)
    result = json.loads((seven / "result.json").read_text())
    assert saved.metrics["AP50"] == result["AP50"]


def test_six_steps_are_two_epochs(config, reference, tmp_path):
    assert tiny.train(config, tmp_path, "train.epochs=null", "train.steps=6") == 0
    last = "checkpoints/step-00000006"
    tiny.assert_same_checkpoint(reference / last, tmp_path / last)
    assert evaluated(tmp_path) == [3, 6]


@pytest.mark.parametrize("step", [2, 3, 6, 7])
def test_a_run_of_steps_goes_on_bit_for_bit(config, seven, tmp_path, step):
    assert tiny.train(config, tmp_path, *SEVEN, tiny.hook("SignalAt", step=step)) == 143
    assert tiny.train(config, tmp_path, *SEVEN, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(seven / LAST, tmp_path / LAST)


def test_a_finished_run_of_steps_is_lengthened(config, seven, tmp_path):
    assert tiny.train(config, tmp_path, "train.epochs=null", "train.steps=4") == 0
    assert tiny.train(config, tmp_path, *SEVEN, resume="auto") == 0
    one, other = (load_checkpoint(str(run / LAST)) for run in (seven, tmp_path))
    assert one.progress == other.progress
    for name, array in one.weights.items():
        np.testing.assert_array_equal(array.asnumpy(), other.weights[name].asnumpy(), name)


def test_what_is_said_counts_steps(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, "train.epochs=null", "train.steps=4") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "4 steps, 1.33 epochs of 3 steps", "cpu(0)", "epoch 1.33 step 4/4 ")
    tiny.assert_says(said, "step 4/4: evaluating 4 images")
    assert tiny.records(tmp_path, "train")[-1]["eta_seconds"] == 0
    assert (tmp_path / "pictures/epoch-001.png").exists()
    assert (tmp_path / "pictures/step-00000004.png").exists()


@pytest.mark.parametrize(
    ("overrides", "found"),
    [(["train.steps=7"], "both"), (["train.epochs=null"], "neither")],
)
def test_a_run_has_one_length(config, tmp_path, capsys, overrides, found):
    message = tiny.refused(capsys, "train", config, "--work-dir", tmp_path, "--set", *overrides)
    tiny.assert_says(message, "train.epochs", "train.steps", found, "null")


@pytest.mark.parametrize("length", [SEVEN, ("train.epochs=2",)], ids=["steps", "epochs"])
def test_an_accumulation_is_completed_by_the_end_of_a_run(config, tmp_path, length):
    chosen = (*length, "train.accumulate=4", "train.keep=9")
    for name, step in (("whole", None), ("parts", 5)):
        stops = [tiny.hook("SignalAt", step=step)] if step else []
        assert tiny.train(config, tmp_path / name, *chosen, *stops) == (143 if step else 0)
    assert tiny.train(config, tmp_path / "parts", *chosen, resume="auto", force=True) == 0
    last = tiny.checkpoints(tmp_path / "whole")[-1]
    one, other = (tmp_path / name / "checkpoints" / last for name in ("whole", "parts"))
    tiny.assert_same_checkpoint(one, other)
    state = load_checkpoint(str(one)).optimizer
    gradients = [array for name, array in state.items() if name.startswith("gradient/")]
    assert gradients
    assert not any(array.asnumpy().any() for array in gradients)
    before = load_checkpoint(str(tmp_path / "parts/checkpoints/step-00000005")).weights
    after = load_checkpoint(str(one)).weights["rpn_head.deltas.weight"]
    assert (before["rpn_head.deltas.weight"] != after).asnumpy().any()


# --- evaluations ----------------------------------------------------------------------------------


def test_evaluations_count_steps(config, tmp_path):
    scores = "evaluate={type: Scripted, scores: [0.3, 0.9, 0.2]}"
    assert tiny.train(config, tmp_path, scores, "train.evaluate_every={steps: 2}") == 0
    assert evaluated(tmp_path) == [2, 4, 6]
    best = load_checkpoint(str(tmp_path / "checkpoints/best"))
    assert best.progress == (4, 1, 1)
    assert best.metrics["AP50"] == best.best == 0.9


def test_evaluations_count_epochs_in_both_ways_of_writing(config, tmp_path):
    for value in ("2", "{epochs: 2}"):
        work = tmp_path / value[1:]
        assert tiny.train(config, work, "train.epochs=3", f"train.evaluate_every={value}") == 0
        assert [record["epoch"] for record in tiny.records(work, "evaluate")] == [2, 3]


def test_an_end_on_an_interval_is_evaluated_once(config, tmp_path):
    assert tiny.train(config, tmp_path, "train.evaluate_every={steps: 3}") == 0
    assert evaluated(tmp_path) == [3, 6]


@pytest.mark.parametrize("every", ["{steps: 2}", "{steps: 3}", "{epochs: 1}"])
def test_an_evaluation_that_was_stopped_is_made_up_for(config, tmp_path, monkeypatch, every):
    chosen = (*SEVEN, f"train.evaluate_every={every}", "data.val.length=8")
    assert tiny.train(config, tmp_path / "whole", *chosen) == 0
    genuine, run = Detector.detect_batch, tmp_path / "parts"

    def stopped(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return genuine(*arguments)

    for resume in (None, "auto"):
        with monkeypatch.context() as patched:
            patched.setattr(Detector, "detect_batch", stopped)
            assert tiny.train(config, run, *chosen, resume=resume) == 143
    assert tiny.records(run, "evaluate") == []
    assert tiny.train(config, run, *chosen, resume="auto") == 0
    steps = [evaluated(folder) for folder in (run, tmp_path / "whole")]
    assert steps[0] == steps[1]
    tiny.assert_same_checkpoint(tmp_path / "whole" / LAST, run / LAST)


@pytest.mark.parametrize("step", [4, 6])
def test_what_was_evaluated_is_not_evaluated_again(config, tmp_path, step):
    """The run is stopped after the evaluation of a step, by a plugin."""
    chosen = (*SEVEN, "train.evaluate_every={steps: 2}")
    assert tiny.train(config, tmp_path, *chosen, tiny.hook("StopAfter", step=step)) == 0
    assert tiny.train(config, tmp_path, *chosen, resume="auto", force=True) == 0
    assert evaluated(tmp_path) == [2, 4, 6, 7]


# --- checkpoints ----------------------------------------------------------------------------------


def test_checkpoints_count_steps(config, reference, tmp_path):
    chosen = ("train.checkpoint_every={steps: 2}", "train.evaluate_every=2", "train.keep=9")
    assert tiny.train(config, tmp_path / "run", *chosen) == 0
    kept = ["best", "step-00000002", "step-00000004", "step-00000006"]
    assert tiny.checkpoints(tmp_path / "run") == kept
    within = tmp_path / "run/checkpoints/step-00000004"
    assert load_checkpoint(str(within)).progress == (4, 1, 1)
    # From a checkpoint within an epoch, the run goes on to the same end.
    assert tiny.train(config, tmp_path / "again", *chosen, resume=within) == 0
    last = "checkpoints/step-00000006"
    tiny.assert_same_checkpoint(tmp_path / "run" / last, tmp_path / "again" / last)


def test_checkpoints_may_be_rarer_than_epochs(config, tmp_path):
    chosen = ("train.checkpoint_every={epochs: 2}", "train.evaluate_every=4", "train.keep=9")
    assert tiny.train(config, tmp_path, "train.epochs=3", *chosen) == 0
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000006", "step-00000009"]


def test_the_best_is_saved_whatever_the_interval(config, tmp_path):
    chosen = (
        "evaluate={type: Scripted, scores: [0.1, 0.9, 0.2]}",
        "train.evaluate_every={steps: 2}",
        "train.checkpoint_every=9",
        "train.keep=1",
    )
    assert tiny.train(config, tmp_path, *chosen) == 0
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000004", "step-00000006"]
    assert load_checkpoint(str(tmp_path / "checkpoints/best")).progress.step == 4


# --- schedules ------------------------------------------------------------------------------------


def test_drops_count_steps(config, tmp_path):
    schedule = "train.schedule={_delete_: true, type: StepSchedule, drops: {steps: [2, 5]}}"
    assert tiny.train(config, tmp_path, *SEVEN, schedule, "train.log_every=1") == 0
    rates = [record["lr"] for record in tiny.records(tmp_path, "train")]
    assert rates == pytest.approx(2 * [0.01] + 3 * [0.001] + 2 * [0.0001])


def test_drops_count_steps_whatever_is_accumulated(config, tmp_path):
    schedule = "train.schedule={_delete_: true, type: StepSchedule, drops: {steps: [4]}}"
    assert tiny.train(config, tmp_path, schedule, "train.accumulate=2", "train.log_every=1") == 0
    rates = [record["lr"] for record in tiny.records(tmp_path, "train")]
    assert rates == pytest.approx(4 * [0.01] + 2 * [0.001])


def test_a_cosine_reaches_its_floor_at_the_last_step(config, tmp_path):
    schedule = "train.schedule={_delete_: true, type: CosineSchedule}"
    assert tiny.train(config, tmp_path, *SEVEN, schedule, "train.log_every=1") == 0
    rates = [record["lr"] for record in tiny.records(tmp_path, "train")]
    expected = [0.005 * (1 + np.cos(np.pi * step / 7)) for step in range(7)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("drops", [[1.5], {"epochs": [1.5]}])
def test_drops_count_epochs_in_both_ways_of_writing(drops):
    schedule = SCHEDULES.build({"type": "StepSchedule", "drops": drops})
    factors = [schedule(Position(100, 100, epoch, 0.5)) for epoch in (1.25, 1.5)]
    assert factors == pytest.approx([1, 0.1])


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("train.steps=0", ["train.steps", "at least 1", "0"]),
        ("train.steps=1.5", ["train.steps", "int", "1.5"]),
        ("train.evaluate_every={steps: 0}", ["train.evaluate_every.steps", "at least 1", "0"]),
        ("train.evaluate_every={step: 2}", ["train.evaluate_every", "'step'", "'steps'"]),
        ("train.evaluate_every={}", ["train.evaluate_every", "steps", "epochs", "neither"]),
        ("train.evaluate_every=[2]", ["train.evaluate_every", "[2]"]),
        ("train.checkpoint_every=0", ["train.checkpoint_every", "at least 1", "0"]),
        (
            "train.checkpoint_every={steps: 2, epochs: 1}",
            ["train.checkpoint_every", "steps", "epochs", "both"],
        ),
        ("train.schedule.drops={steps: [1.5]}", ["train.schedule.drops.steps", "int", "1.5"]),
        ("train.schedule.drops={steps: [-1]}", ["train.schedule", "steps", "-1"]),
        ("train.schedule.drops={step: [1]}", ["train.schedule.drops", "'step'", "'steps'"]),
        ("train.schedule.drops={}", ["train.schedule.drops", "steps", "epochs", "neither"]),
    ],
)
def test_senseless_lengths_are_refused(config, tmp_path, capsys, override, fragments):
    both = ["train.epochs=null", override] if "train.steps" in override else [override]
    message = tiny.refused(capsys, "train", config, "--work-dir", tmp_path, "--set", *both)
    tiny.assert_says(message, *fragments)


def test_an_interval_is_due_once_at_each_multiple():
    steps, epochs = Interval(steps=3), Interval(epochs=2)
    course = [(0, 0, 0), (1, 0, 1), (2, 0, 2), (2, 1, 0), (3, 1, 1), (4, 1, 2), (4, 2, 0)]
    course = [Progress(*each) for each in course]
    assert [steps.is_due(each) for each in course] == [0, 0, 0, 0, 1, 0, 0]
    assert [epochs.is_due(each) for each in course] == [0, 0, 0, 0, 0, 0, 1]
    assert [steps.reached(each) for each in course] == [0, 0, 0, 0, 1, 1, 1]
    assert [steps.is_last_step(each, 2) for each in course] == [0, 0, 0, 0, 1, 1, 1]
    assert [epochs.is_last_step(each, 2) for each in course] == [0, 0, 0, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="steps.*at least 1.*0"):
        Interval(steps=0)

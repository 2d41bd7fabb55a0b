"""The loop, its hooks, and what makes a run resumable: bit for bit, whatever stopped it."""

import io
import json
import signal
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from detkit.build.load import load_model_weights
from detkit.build.training import Training
from detkit.config import load_config
from detkit.errors import TrainingError
from detkit.files.checkpoint import check_finite, load_checkpoint
from detkit.plugins import import_plugins
from detkit.runner.hooks import Hook
from detkit.runner.log import RunLog
from detkit.runner.loop import Runner
from support import tiny

LAST = "checkpoints/step-00000006"


def built(config, *overrides):
    loaded = load_config(config, overrides)
    import_plugins(loaded)
    return Training(loaded)


# --- the loop -------------------------------------------------------------------------------------


class Recorder(Hook):
    def __init__(self, calls, name="", failure=None):
        self._calls, self._name, self._failure = calls, name, failure

    def _record(self, moment):
        self._calls.append(self._name + moment)
        if self._failure and moment == "after_epoch":
            raise self._failure

    def start(self, run):
        self._record("start")

    def before_step(self, run):
        self._record("before_step")

    def after_step(self, run):
        self._record("after_step")

    def after_epoch(self, run):
        self._record("after_epoch")

    def finish(self, run):
        self._record("finish")


def runner_with(config, tmp_path, *recorders, epochs=2):
    training = built(config)
    return Runner(
        training.train_step,
        training.loader,
        training.optimizer,
        recorders,
        epochs,
        training.ctx,
        str(tmp_path),
    )


def test_moments_come_in_their_order(config, tmp_path):
    calls = []
    runner_with(config, tmp_path, Recorder(calls)).run()
    epoch = 3 * ["before_step", "after_step"] + ["after_epoch"]
    assert calls == ["start", *epoch, *epoch, "finish"]


def test_a_failing_hook_does_not_keep_the_next_from_its_turn(config, tmp_path):
    calls = []
    failing = Recorder(calls, "a ", RuntimeError("no more pictures"))
    with pytest.raises(RuntimeError, match="no more pictures"):
        runner_with(config, tmp_path, failing, Recorder(calls, "b ")).run()
    assert calls[-2:] == ["a after_epoch", "b after_epoch"]


def test_after_spoilt_weights_no_hook_has_its_turn(config, tmp_path):
    calls = []
    failing = Recorder(calls, "a ", TrainingError("a loss is not finite"))
    with pytest.raises(TrainingError):
        runner_with(config, tmp_path, failing, Recorder(calls, "b ")).run()
    assert calls[-1] == "a after_epoch"


def test_hooks_stand_in_the_documented_order(config, tmp_path):
    runner = built(config, tiny.hook("Draw")).runner(str(tmp_path))
    assert [type(each).__name__ for each in runner._hooks] == [
        "ScheduleHook",
        "LogHook",
        "EvaluateHook",
        "CheckpointHook",
        "VisualizeHook",
        "Draw",
        "StopHook",
    ]


@pytest.mark.parametrize("overrides", [(), ("train.accumulate=2", "train.clip_norm=1")])
def test_between_log_intervals_nothing_waits(config, tmp_path, monkeypatch, overrides):
    runner = built(config, "train.log_every=100", *overrides).runner(str(tmp_path))
    batches = list(runner.loader.batches(epoch=0))
    runner._call("start")
    runner.step(batches[0])  # compiles, and is reported

    def waits(*_, **__):
        raise AssertionError("the training step waits for the device")

    with monkeypatch.context() as patched:
        for name in ("asnumpy", "asscalar", "wait_to_read", "__bool__"):
            patched.setattr(mx.nd.NDArray, name, waits)
        patched.setattr(mx.nd, "waitall", waits)
        for batch in batches[1:]:
            runner.step(batch)
    assert len(runner.losses) == 2
    assert runner.losses.read()["loss"] > 0


# --- what is written ------------------------------------------------------------------------------


def test_the_work_folder_after_a_run(reference):
    assert sorted(path.name for path in reference.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "log.jsonl",
        "pictures",
        "result.json",
    ]
    assert tiny.checkpoints(reference) == ["best", "step-00000003", "step-00000006"]
    assert sorted(path.name for path in (reference / "pictures").iterdir()) == [
        "epoch-001.png",
        "epoch-002.png",
    ]


def test_the_log_has_losses_at_every_interval(reference):
    found = tiny.records(reference, "train")
    assert [record["step"] for record in found] == [1, 2, 3, 4, 6]
    assert [record["epoch"] for record in found] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 2])
    # Two steps of warm-up, then a tenth from the first epoch on.
    rates = [0.00001, 0.005005, 0.01, 0.001, 0.001]
    assert [record["lr"] for record in found] == pytest.approx(rates)
    for record in found:
        parts = [record[name] for name in ("rpn_class", "rpn_box", "roi_class", "roi_box")]
        assert record["loss"] == pytest.approx(sum(parts))
        assert 0 <= record["data_wait"] <= 1
        assert record["memory_mb"] > 0
        assert record["seconds_per_step"] > 0
    assert found[0]["eta_seconds"] is None  # its time is not the others'
    assert found[1]["eta_seconds"] > 0
    assert found[-1]["eta_seconds"] == 0


def test_the_log_has_every_evaluation(reference):
    found = tiny.records(reference, "evaluate")
    assert [(record["epoch"], record["step"]) for record in found] == [(1, 3), (2, 6)]
    result = json.loads((reference / "result.json").read_text())
    for name in ("AP", "AP50", "per_class"):
        assert found[-1][name] == result[name]


def test_the_last_checkpoints_and_the_best_are_kept(config, tmp_path):
    scores = "evaluate={type: Scripted, scores: [0.1, 0.9, .nan, 0.2, 0.9]}"
    assert tiny.train(config, tmp_path, scores, "train.epochs=5", "train.keep=2") == 0
    kept = ["best", "step-00000006", "step-00000012", "step-00000015"]
    assert tiny.checkpoints(tmp_path) == kept
    best = load_checkpoint(str(tmp_path / "checkpoints/best"))
    assert best.progress == (6, 2, 0)
    assert best.metrics["AP50"] == best.best == 0.9


def test_the_best_is_remembered_by_a_resumed_run(config, tmp_path):
    scores = "evaluate={{type: Scripted, scores: [{}]}}"
    assert tiny.train(config, tmp_path, scores.format("0.9, 0.1"), "train.keep=1") == 0
    more = (scores.format("0.5"), "train.epochs=3", "train.keep=1")
    assert tiny.train(config, tmp_path, *more, resume="auto") == 0
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003", "step-00000009"]


def test_evaluations_may_be_rarer(config, tmp_path):
    assert tiny.train(config, tmp_path, "train.epochs=3", "train.evaluate_every=2") == 0
    assert [record["epoch"] for record in tiny.records(tmp_path, "evaluate")] == [2, 3]
    assert load_checkpoint(str(tmp_path / "checkpoints/best")).progress.epoch > 1


def test_a_terminal_gets_a_bar_and_no_lines(tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    log = RunLog(str(tmp_path), total=4, done=1)
    log.advance(3)
    log.show("loss 1.5", "the line of a plain output")
    log.say("epoch 1: AP50 0.5")
    log.close()
    assert "3/4" in terminal.getvalue()
    assert "loss 1.5" in terminal.getvalue()
    assert capsys.readouterr().out == "epoch 1: AP50 0.5\n"


# --- how it stops ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_saves_and_is_reported_by_the_status(config, tmp_path, name, status):
    signalled = tiny.hook("SignalAt", step=2, name=name)
    stopped = tiny.spawn("train", config, "--work-dir", tmp_path, "--set", signalled)
    assert stopped.returncode == status
    assert stopped.stderr.splitlines()[-1] == (
        f"error: stopped by {name}, everything is saved; go on with --resume auto"
    )
    saved = load_checkpoint(str(tmp_path / "checkpoints/step-00000002"))
    assert saved.progress == (2, 0, 2)


def test_a_second_interrupt_does_not_wait_for_saving(config, tmp_path, capsys):
    twice = tiny.hook("SignalAt", step=2, name="SIGINT", times=2)
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore it
    assert tiny.train(config, tmp_path, twice) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert tiny.checkpoints(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_a_plugin_may_stop_a_run(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, tiny.hook("StopAfter", step=4)) == 0
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003", "step-00000004"]
    assert tiny.train(config, tmp_path / "early", tiny.hook("StopAfter", step=1)) == 0
    assert "stopped before an evaluation" in capsys.readouterr().out
    assert not (tmp_path / "early/result.json").exists()


def test_a_loss_that_is_not_finite_stops_the_run(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, tiny.hook("Spoil", step=5)) == 1
    message = capsys.readouterr().err
    saved = tmp_path / "not_finite_step_5.npz"
    assert "error: the loss rpn_class is nan at step 5 (epoch 2, batch 2), images" in message
    assert f"the batch is saved in {saved}" in message
    assert "train.lr" in message
    assert "Traceback" not in message
    batch = np.load(saved)
    assert batch["images"].shape == (4, 3, 64, 64)
    assert ", ".join(batch["image_ids"]) in message
    assert_only_the_first_epoch_is_saved(config, tmp_path)


def test_weights_spoilt_by_the_last_update_are_not_saved(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, tiny.hook("Spoil", step=6, after="true")) == 1
    tiny.assert_says(capsys.readouterr().err, "step 6: ", "finite weights")
    assert_only_the_first_epoch_is_saved(config, tmp_path)


def assert_only_the_first_epoch_is_saved(config, work_dir):
    assert tiny.checkpoints(work_dir) == ["best", "step-00000003"]
    model = built(config).model
    load_model_weights(model, load_checkpoint(str(Path(work_dir, "checkpoints/best"))))
    check_finite(model, 3)


def test_a_batch_that_cannot_be_saved_does_not_hide_the_loss(config, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    assert tiny.train(config, tmp_path, tiny.hook("Spoil", step=5)) == 1
    message = capsys.readouterr().err
    assert "the loss rpn_class is nan at step 5" in message
    assert "the batch could not be saved in" in message
    assert "No space left on device" in message

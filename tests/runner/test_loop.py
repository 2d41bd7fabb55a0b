"""The loop: the order of its hooks, and the ways in which it stops."""

import signal

import mxnet as mx
import numpy as np
import pytest

from detkit.build.training import Training
from detkit.checkpoints import load_checkpoint
from detkit.config import load_config
from detkit.errors import TrainingError
from detkit.plugins import import_plugins
from detkit.runner import Interval
from detkit.runner.hooks import Hook
from detkit.runner.loop import Runner
from support import tiny


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

    def close(self, run):
        self._record("close")


def runner_with(config, tmp_path, *recorders, epochs=2):
    training = built(config)
    return Runner(
        training.train_step,
        training.loader,
        training.optimizer,
        recorders,
        Interval(epochs=epochs),
        training.devices,
        str(tmp_path),
    )


def test_moments_come_in_their_order(config, tmp_path):
    calls = []
    runner_with(config, tmp_path, Recorder(calls)).run()
    epoch = 3 * ["before_step", "after_step"] + ["after_epoch"]
    assert calls == ["start", *epoch, *epoch, "finish", "close"]


def test_a_failing_hook_does_not_keep_the_next_from_its_turn(config, tmp_path):
    calls = []
    failing = Recorder(calls, "a ", RuntimeError("no more pictures"))
    with pytest.raises(RuntimeError, match="no more pictures"):
        runner_with(config, tmp_path, failing, Recorder(calls, "b ")).run()
    assert calls[-4:] == ["a after_epoch", "b after_epoch", "a close", "b close"]


def test_after_spoilt_weights_hooks_are_only_closed(config, tmp_path):
    calls = []
    failing = Recorder(calls, "a ", TrainingError("a loss is not finite"))
    with pytest.raises(TrainingError):
        runner_with(config, tmp_path, failing, Recorder(calls, "b ")).run()
    assert calls[-3:] == ["a after_epoch", "a close", "b close"]


def test_hooks_are_closed_after_a_second_ctrl_c(config, tmp_path):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        runner_with(config, tmp_path, Recorder(calls, failure=KeyboardInterrupt())).run()
    assert calls[-2:] == ["after_epoch", "close"]


def test_a_hook_that_cannot_be_closed_hides_no_other_error(config, tmp_path):
    class Unclosed(Recorder):
        def close(self, run):
            raise OSError("cannot be closed")

    for failure, shown in ((RuntimeError("no more"), RuntimeError), (None, OSError)):
        with pytest.raises(shown):
            runner_with(config, tmp_path, Unclosed([], failure=failure), epochs=1).run()


def test_hooks_stand_in_the_documented_order(config, tmp_path):
    runner = built(config, tiny.hook("Draw"), "train.time=1h", "train.patience=3").runner(
        str(tmp_path)
    )
    assert [type(each).__name__ for each in runner.hooks] == [
        "TimeHook",
        "ScheduleHook",
        "FreezeHook",
        "LogHook",
        "EvaluateHook",
        "CheckpointHook",
        "VisualizeHook",
        "CurvesHook",
        "Draw",
        "PatienceHook",
        "StopHook",
    ]


@pytest.mark.parametrize("overrides", [(), ("train.accumulate=2", "train.clip_norm=1")])
def test_between_log_intervals_only_the_step_before_is_waited_for(
    config, tmp_path, monkeypatch, overrides
):
    runner = built(config, "train.log_every=100", *overrides).runner(str(tmp_path))
    batches = list(runner.loader.batches(epoch=0))
    runner.call("start")
    runner.step(batches[0])  # compiles, and is reported
    genuine, losses, waited = runner.train_step, [], []

    def train_step(*inputs):
        losses.append(genuine(*inputs))
        return losses[-1]

    def copies(*_, **__):
        raise AssertionError("the training step copies an array to the host")

    train_step.INPUTS, train_step.model = genuine.INPUTS, genuine.model
    runner.train_step = train_step
    with monkeypatch.context() as patched:
        for name in ("asnumpy", "asscalar", "__bool__"):
            patched.setattr(mx.nd.NDArray, name, copies)
        patched.setattr(mx.nd, "waitall", copies)
        patched.setattr(mx.nd.NDArray, "wait_to_read", lambda array: waited.append(id(array)))
        for batch in batches[1:]:
            runner.step(batch)
    assert waited == [id(loss) for loss in losses[0].values()]
    assert len(runner.losses) == len(losses) == 2
    assert runner.losses.read()["loss"] > 0


# --- how it stops ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_saves_and_is_reported_by_the_status(config, tmp_path, name, status):
    signalled = tiny.hook("SignalAt", step=2, name=name)
    stopped = tiny.spawn("train", config, "--work-dir", tmp_path, "--set", signalled)
    assert stopped.returncode == status
    tiny.assert_says(stopped.stderr.splitlines()[-1], "error: ", name, "saved", "--resume auto")
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
    tiny.assert_says(capsys.readouterr().out, "before an evaluation", "detkit test")
    assert not (tmp_path / "early/result.json").exists()


def test_a_loss_that_is_not_finite_stops_the_run(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, tiny.hook("Spoil", step=5)) == 1
    message = capsys.readouterr().err
    saved = tmp_path / "not_finite_step_5.npz"
    tiny.assert_says(message, "error: step 5 (epoch 2, batch 2)", "rpn_class = nan", "train.lr")
    assert str(saved) in message
    assert "Traceback" not in message
    batch = np.load(saved)
    assert batch["images"].shape == (4, 3, 64, 64)
    assert ", ".join(batch["image_ids"]) in message
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003"]
    assert tiny.is_finite(tmp_path / "checkpoints/best")


def test_a_batch_that_cannot_be_saved_does_not_hide_the_loss(config, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    assert tiny.train(config, tmp_path, tiny.hook("Spoil", step=5)) == 1
    message = capsys.readouterr().err
    tiny.assert_says(message, "step 5", "rpn_class = nan")
    tiny.assert_says(message, str(tmp_path / "not_finite_step_5.npz"), "No space left on device")

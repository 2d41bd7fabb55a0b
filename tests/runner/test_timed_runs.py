"""Runs that end when their time is over, by a clock that ticks only when the test lets it.

In the tiny config an epoch has three steps and an evaluation one batch.
"""

import itertools
import json
import math

import pytest

from detkit.build import open_config
from detkit.build.training import Training
from detkit.checkpoints import Spent, load_checkpoint
from detkit.detector import Detector
from detkit.errors import ConfigError
from detkit.runner import TimeBudget
from detkit.runner.hooks import Hook
from detkit.runner.interrupt import Interrupted
from support import tiny
from support.clock import Clock

STEP, EVALUATION = 1.0, 4.0  # seconds; sums of them are exact
COSINE = "train.schedule={_delete_: true, type: CosineSchedule}"


class Ticks(Hook):
    """The passing of the time of each step, after the clock was read; every fifth may be slow."""

    def __init__(self, clock, slow=0.0):
        self._clock, self._slow = clock, slow

    def before_step(self, run):
        self._clock.now += STEP + (self._slow if run.progress.step % 5 == 4 else 0.0)


@pytest.fixture
def clock(monkeypatch):
    """The clock of a run, in which each batch of an evaluation takes its time."""
    clock, genuine = Clock(), Detector.detect_batch

    def detect_batch(*arguments):
        clock.now += EVALUATION
        return genuine(*arguments)

    monkeypatch.setattr(Detector, "detect_batch", detect_batch)
    return clock


def runner_of(config, folder, clock, seconds, *overrides, resume=None, slow=0.0):
    length = () if any("train.steps" in each for each in overrides) else ("train.epochs=null",)
    chosen = (*length, f"train.time={seconds}s", "train.log_every=1", COSINE, *overrides)
    training = Training(open_config(config, chosen))
    training.length = TimeBudget(float(seconds), training.length.most, clock)
    training.hooks.append(Ticks(clock, slow))
    return training.runner(str(folder), resume, force=resume is not None)


def run(*arguments, **options):
    """The runner of a finished run, and the seconds that it took."""
    clock = arguments[2]
    began = clock.now
    runner = runner_of(*arguments, **options)
    runner.run()
    return runner, clock.now - began


def newest(folder):
    return load_checkpoint(f"{folder}/checkpoints/{max(set(tiny.checkpoints(folder)) - {'best'})}")


def evaluated(work_dir):
    return [record["step"] for record in tiny.records(work_dir, "evaluate")]


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_ends_with_its_evaluation_when_the_time_is_over(config, tmp_path, clock):
    """It estimates an evaluation (4 s), evaluates after 3 steps (4 s), and at the end."""
    runner, seconds = run(config, tmp_path, clock, 20)
    assert seconds == 20
    assert runner.progress.step == 8
    assert tiny.records(tmp_path, "train")[-1]["eta_seconds"] == EVALUATION
    assert evaluated(tmp_path) == [3, 8]  # after 6 steps there is no time
    assert runner.metrics is not None
    assert tiny.checkpoints(tmp_path)[-1] == "step-00000008"
    elapsed = [4, 5, 6, 11, 12, 13, 14, 15]  # before each step, out of 16 for training
    rates = [record["lr"] for record in tiny.records(tmp_path, "train")]
    expected = [0.005 * (1 + math.cos(math.pi * seconds / 16)) for seconds in elapsed]
    assert rates == pytest.approx(expected)


def test_a_slow_machine_makes_fewer_steps_of_the_same_schedule(config, tmp_path, clock):
    quick, _ = run(config, tmp_path / "quick", clock, 40)
    slow, seconds = run(config, tmp_path / "slow", clock, 40, slow=6.0)
    assert slow.progress.step < quick.progress.step
    assert 40 - 6 < seconds <= 40 + 6  # the last step may be a slow one
    for work_dir in ("quick", "slow"):
        assert tiny.records(tmp_path / work_dir, "train")[-1]["lr"] < 0.001


@pytest.mark.parametrize("step", [1, 3, 6, 8])
def test_an_interrupted_run_goes_on_with_the_time_that_is_left(config, tmp_path, clock, step):
    """Bit for bit, because the clock ticks regularly; it is another clock after the interruption.

    The estimate of the first evaluation is exact, so that it need not be made twice.
    """
    whole, _ = run(config, tmp_path / "whole", clock, 20)
    with pytest.raises(Interrupted):
        run(config, tmp_path / "parts", clock, 20, tiny.hook("SignalAt", step=step))
    clock.now += 10**6
    parts, _ = run(config, tmp_path / "parts", clock, 20, resume="auto")
    assert parts.progress == whole.progress
    assert evaluated(tmp_path / "parts") == [3, 8]
    one, other = newest(tmp_path / "whole"), newest(tmp_path / "parts")
    tiny.assert_same_checkpoint(one.path, other.path)
    assert one.spent == other.spent == Spent(20.0, EVALUATION, STEP)


def test_a_finished_run_has_nothing_to_do_until_it_gets_more_time(config, tmp_path, clock):
    run(config, tmp_path, clock, 20)
    runner, seconds = run(config, tmp_path, clock, 20, resume="auto")
    assert (runner.progress.step, seconds) == (8, 0)
    runner, seconds = run(config, tmp_path, clock, 26, resume="auto")
    assert seconds == 6
    assert runner.progress.step == 10
    assert evaluated(tmp_path) == [3, 8, 10]


def test_a_run_of_steps_may_end_before_its_time(config, tmp_path, clock):
    steps = ("train.epochs=null", "train.steps=5")
    runner, seconds = run(config, tmp_path, clock, 100, *steps)
    assert runner.progress.step == 5
    assert evaluated(tmp_path) == [3, 5]
    assert seconds == 4 + 5 + 2 * 4
    rates = [record["lr"] for record in tiny.records(tmp_path, "train")]
    shares = [4 / 96, 1 / 5, 2 / 5, 3 / 5, 4 / 5]  # before the first step, the time's is larger
    expected = [0.005 * (1 + math.cos(math.pi * share)) for share in shares]
    assert rates == pytest.approx(expected)


def test_the_last_update_is_completed(config, tmp_path, clock):
    runner, _ = run(config, tmp_path, clock, 20, "train.accumulate=3")
    assert runner.progress.step == 8
    gradients = {n: a for n, a in newest(tmp_path).optimizer.items() if n.startswith("gradient/")}
    assert gradients
    assert not any(array.asnumpy().any() for array in gradients.values())


def test_a_stopped_evaluation_is_no_measure(config, tmp_path, clock):
    runner = runner_of(config, tmp_path, clock, 100)
    runner.length.start(0)
    runner.length.watch.evaluation_begins()
    clock.now += 50
    assert runner.metrics is None
    assert runner.spent == Spent(50.0, None, 0.0)
    runner.metrics = {"AP50": 0.5}
    assert runner.spent == Spent(50.0, 50.0, 0.0)


def test_no_step_is_made_if_the_evaluation_takes_all_the_time(config, tmp_path, clock):
    with pytest.raises(ConfigError, match="train.time: .*about 4 s, found 4 s"):
        run(config, tmp_path, clock, 4)
    assert tiny.checkpoints(tmp_path) == []


def test_the_loop_waits_for_the_device_and_copies_nothing(config, tmp_path, clock, monkeypatch):
    runner = runner_of(config, tmp_path, clock, 100, "train.log_every=100")
    batches = runner.loader.batches(epoch=0)
    runner.call("start")
    runner.step(next(batches))
    waits = []

    def copies(*_, **__):
        raise AssertionError("the training step copies an array to the host")

    array = type(next(iter(runner.train_step.model.collect_params().values())).data())
    genuine = array.wait_to_read
    with monkeypatch.context() as patched:
        for name in ("asnumpy", "asscalar"):
            patched.setattr(array, name, copies)
        patched.setattr(array, "wait_to_read", lambda self: waits.append((id(self), genuine(self))))
        for batch in itertools.islice(batches, 2):
            runner.step(batch)
    assert len(set(waits)) == 4  # the losses of the second step; those of the first were reported


# --- the tool -------------------------------------------------------------------------------------


def test_the_tool_trains_for_a_time(config, tmp_path, capsys):
    chosen = ("train.epochs=null", "train.time=6s", "data.val.length=8", COSINE)
    assert tiny.train(config, tmp_path, *chosen) == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "schedule 6s with the final evaluation", "step 1 ", "/~")
    assert (tmp_path / "result.json").exists()
    last = newest(tmp_path)
    assert last.progress.step == tiny.records(tmp_path, "evaluate")[-1]["step"]
    assert last.spent.seconds >= 6
    assert tiny.train(config, tmp_path, *chosen, resume="auto") == 0
    assert newest(tmp_path).progress == last.progress


def test_a_dry_run_needs_no_time(config, capsys):
    chosen = ("train.epochs=null", "train.time=1s", "train.ema=0.9", "train.val_loss=true")
    assert tiny.tool("train", config, "--dry-run", "--set", *chosen) == 0
    tiny.assert_says(capsys.readouterr().out, "schedule 1s", "dry run: one step", "succeeded")


@pytest.mark.parametrize(("time", "accepted"), [("1m30s", True), ("30s", False)])
def test_a_run_may_only_be_given_more_time(config, tmp_path, capsys, time, accepted):
    """The run has reached its steps, so that the time does not matter."""
    steps = ("train.epochs=null", "train.steps=3")
    assert tiny.train(config, tmp_path, *steps, "train.time=90s") == 0
    status = tiny.train(config, tmp_path, *steps, f"train.time={time}", resume="auto")
    assert status == (0 if accepted else 1)
    if not accepted:
        tiny.assert_says(capsys.readouterr().err, 'train.time: "90s"', '"30s" now', "--force")


HOSTILE = [
    "x",
    [1, 2, 3],
    {"seconds": 1},
    {"seconds": -1, "evaluation": None, "step": 0},
    {"seconds": 1, "evaluation": math.inf, "step": 0},
    {"seconds": None, "evaluation": None, "step": 0},
    {"seconds": 1, "evaluation": "x", "step": 0},
    {"seconds": True, "evaluation": None, "step": 0},
    {"seconds": 1, "evaluation": [], "step": 0},
]


@pytest.mark.parametrize("spent", HOSTILE, ids=str)
def test_a_hostile_time_is_refused(project, refused, spent):
    checkpoint = project / "work/checkpoints/step-00000003"
    state = json.loads((checkpoint / "state.json").read_text())
    tiny.rewrite_state(checkpoint, {**state, "spent": spent})
    message = refused("train", "configs/tiny.yaml", "--resume", checkpoint)
    tiny.assert_says(message, "state.json: spent: expected the seconds")

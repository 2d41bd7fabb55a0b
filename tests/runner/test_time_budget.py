"""The length of a run that is a time, alone: durations, and a clock that the test moves."""

import pytest

from detkit.checkpoints import Progress
from detkit.runner import Interval, TimeBudget
from detkit.runner.time_budget import WhileTimeIsLeft, read_duration
from support import tiny
from support.clock import Clock

# --- durations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45m", 2700), ("90s", 90), ("1.5h", 5400), ("1h30m", 5400), ("2h0.5m3s", 7233), (".5s", 0.5)],
)
def test_a_duration_has_hours_minutes_and_seconds(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "45", "m", "5m1h", "-5m", "0s", "1.2.3s", "1d", "nan", "5 m"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=f"'45m'.*{text!r}"):
        read_duration(text)
    with pytest.raises(ValueError):
        read_duration("9" * 400 + "h")


# --- the budget -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3, 7.5, 60])
@pytest.mark.parametrize("step", [0.25, 1, 2.5])
@pytest.mark.parametrize("evaluation", [0.5, 2])
def test_the_time_is_used_and_not_exceeded(seconds, step, evaluation):
    clock = Clock()
    budget = TimeBudget(seconds, clock=clock)
    budget.watch.evaluation = evaluation
    budget.start(0)
    progress = Progress()
    shares = []
    while not budget.reached(progress):
        budget.read(progress.step)
        shares.append(budget.share(progress.step, 0.0))
        clock.now += step
        progress = Progress(progress.step + 1, 0, progress.step + 1)
        assert budget.is_last_step(progress, 10**6) == budget.reached(progress)
        assert budget.is_due(progress) == budget.reached(progress)
    # The first step compiles. The second one is measured at its end, before the third.
    unmeasured = 2 * step if len(shares) <= 3 else 0
    assert clock.now - 1000 + evaluation <= seconds + unmeasured
    assert clock.now - 1000 + evaluation + step > seconds
    expected = [step * n / (seconds - evaluation) for n in range(len(shares))]
    assert shares == pytest.approx([min(1, share) for share in expected])
    assert budget.total_steps(10) == len(shares)


def test_the_number_of_steps_is_estimated_by_the_pace():
    clock = Clock()
    budget = TimeBudget(100, Interval(epochs=9), clock)
    assert budget.total_steps(50) == 450
    budget.watch.evaluation = 20
    budget.start(0)
    assert TimeBudget(100).total_steps(50) is None
    clock.now += 8
    budget.read(4)  # a tenth of the time for 4 steps
    assert budget.total_steps(50) == 40
    assert budget.total_steps(2) == 18  # 9 epochs are less
    assert budget.share(4, 1.8) == 0.2  # of the epochs


def test_an_evaluation_that_leaves_no_time_for_the_last_one_is_left_out():
    clock = Clock()
    budget = TimeBudget(20, clock=clock)
    every, progress = WhileTimeIsLeft(Interval(steps=2), budget), Progress(2, 0, 2)
    budget.watch.evaluation = 5
    budget.start(0)
    assert every.is_due(progress)
    assert not every.is_due(Progress(3, 0, 3))
    clock.now += 10
    assert every.is_due(progress)
    clock.now += 0.5
    assert not every.is_due(progress)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (["train.time=45"], ["train.time: ", "expected str", "45 (int)"]),
        (["train.time=45 minutes"], ["train.time: ", "'1.5h'", "'45 minutes'"]),
        (["train.time=5m", "train.steps=3"], ["train.epochs", "train.steps", "both, 2 and 3"]),
        (["train.epochs=null"], ["train.epochs", "train.steps", "neither", "train.time"]),
        (["train.schedule.drops={shares: [2]}"], ["drops", "shares", "[0, 1]", "[2]"]),
        (["train.schedule.drops={shares: [0.5], steps: [1]}"], ["drops", "steps and shares"]),
    ],
)
def test_what_is_no_time_is_refused(refused, overrides, fragments):
    message = refused("train", "configs/tiny.yaml", "--set", *overrides)
    tiny.assert_says(message, *fragments)

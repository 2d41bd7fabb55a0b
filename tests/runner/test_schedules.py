"""Factors of the learning rate over a run."""

import math
from types import SimpleNamespace

import pytest

from detkit.checkpoints import Progress
from detkit.config import Node
from detkit.errors import ConfigError
from detkit.registry import SCHEDULES
from detkit.runner import CosineSchedule, Position, StepSchedule
from detkit.runner.hooks import ScheduleHook
from support import tiny


def at(epoch, epochs=9, update_start=1000):
    """Returns a Position in a run of ``epochs`` epochs."""
    return Position(step=0, update_start=update_start, epoch=epoch, share=epoch / epochs)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (1.99, 1), (2, 0.1), (2.5, 0.1), (3, 0.01), (7, 0.01)]
)
def test_step_drops_from_its_epoch_on(epoch, factor):
    assert StepSchedule(drops=[3, 2])(at(epoch, 8)) == pytest.approx(factor)


def test_a_drop_may_be_within_an_epoch():
    schedule = StepSchedule(drops=[1.5], factor=0.5)
    assert [schedule(at(epoch, 2)) for epoch in (1.25, 1.5, 1.75)] == [1, 0.5, 0.5]


def test_drops_may_be_shares_of_the_run():
    schedule = StepSchedule(drops={"shares": [0.5, 0.75]})
    factors = [schedule(at(epoch, 8)) for epoch in (3.9, 4, 5.9, 6, 8)]
    assert factors == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_goes_from_one_to_its_floor():
    schedule = CosineSchedule(floor=0.2)
    assert schedule(at(0, 4)) == 1
    assert schedule(at(2, 4)) == pytest.approx(0.6)
    assert schedule(at(1, 4)) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.sqrt(0.5)))
    assert schedule(at(4, 4)) == schedule(at(5, 4)) == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", [StepSchedule, CosineSchedule])
def test_warmup_is_a_line_over_steps(schedule):
    factors = schedule(warmup_steps=4, warmup_factor=0.2)
    assert [factors(at(0, update_start=step)) for step in range(6)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1, 1]
    )


@pytest.mark.parametrize("accumulate", [1, 8])
def test_warmup_depends_on_updates_alone_if_its_steps_are_accumulated(accumulate):
    """Bit for bit, as configs/coco/faster_rcnn_r50_fpn.yaml needs it with 8 steps an update."""
    schedule = StepSchedule(warmup_steps=1000 * accumulate, warmup_factor=0.001)
    rates, run = [], SimpleNamespace(epoch=0.0, share=0.0, lr=0.0)
    hook = ScheduleHook(0.02, schedule, accumulate)
    for step in range(1002 * accumulate):
        run.progress = Progress(step=step)
        hook.before_step(run)
        rates.append(run.lr)
    expected = [0.02 * (0.001 + (1 - 0.001) * update / 1000) for update in range(1000)] + 2 * [0.02]
    assert rates == [rate for rate in expected for _ in range(accumulate)]


def test_warmup_and_drop_multiply():
    schedule = StepSchedule(drops=[1], warmup_steps=10, warmup_factor=0.5)
    assert schedule(at(1, 2, update_start=5)) == pytest.approx(0.75 * 0.1)


@pytest.mark.parametrize(
    ("node", "fragments"),
    [
        ({"type": "StepSchedule", "drops": [-1]}, ["drops", "epochs", "at least 0", "[-1]"]),
        ({"type": "StepSchedule", "drops": [math.nan]}, ["drops", "epochs", "[nan]"]),
        ({"type": "StepSchedule", "drops": 3}, ["drops: ", "list of float", "mapping", "3 (int)"]),
        ({"type": "StepSchedule", "factor": 0}, ["factor", "above 0", "at most 1", "found 0"]),
        ({"type": "StepSchedule", "factor": math.nan}, ["factor", "above 0", "nan"]),
        ({"type": "CosineSchedule", "floor": 2}, ["floor", "0 to 1", "2"]),
        ({"type": "CosineSchedule", "warmup_steps": -1}, ["warmup_steps", "at least 0", "-1"]),
        ({"type": "CosineSchedule", "warmup_factor": 0}, ["warmup_factor", "above 0", "at most 1"]),
        ({"type": "Cosine"}, ["schedule", "'Cosine'", "did you mean 'CosineSchedule'?"]),
    ],
)
def test_wrong_arguments_are_refused(node, fragments):
    written = Node("train.schedule", "a.yaml:3")
    written.update(node)
    with pytest.raises(ConfigError) as caught:
        SCHEDULES.build(written)
    tiny.assert_says(str(caught.value), *fragments)
    assert str(caught.value).startswith("a.yaml:3: train.schedule")

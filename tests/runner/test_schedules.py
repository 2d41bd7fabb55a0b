"""Factors of the learning rate over a run."""

import math

import pytest

from detkit.config import Node
from detkit.errors import ConfigError
from detkit.registry import SCHEDULES
from detkit.runner import CosineSchedule, StepSchedule


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (1.99, 1), (2, 0.1), (2.5, 0.1), (3, 0.01), (7, 0.01)]
)
def test_step_drops_from_its_epoch_on(epoch, factor):
    assert StepSchedule(drops=[3, 2])(1000, epoch, 8) == pytest.approx(factor)


def test_a_drop_may_be_within_an_epoch():
    schedule = StepSchedule(drops=[1.5], factor=0.5)
    assert [schedule(0, epoch, 2) for epoch in (1.25, 1.5, 1.75)] == [1, 0.5, 0.5]


def test_cosine_goes_from_one_to_its_floor():
    schedule = CosineSchedule(floor=0.2)
    assert schedule(9, 0, 4) == 1
    assert schedule(9, 2, 4) == pytest.approx(0.6)
    assert schedule(9, 1, 4) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.sqrt(0.5)))
    assert schedule(9, 4, 4) == schedule(9, 5, 4) == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", [StepSchedule, CosineSchedule])
def test_warmup_is_a_line_over_updates(schedule):
    factors = schedule(warmup_steps=4, warmup_factor=0.2)
    assert [factors(step, 0, 9) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_warmup_and_drop_multiply():
    schedule = StepSchedule(drops=[1], warmup_steps=10, warmup_factor=0.5)
    assert schedule(5, 1, 2) == pytest.approx(0.75 * 0.1)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"type": "StepSchedule", "drops": [-1]}, "drops are epochs, numbers from 0 on, not [-1]"),
        ({"type": "StepSchedule", "drops": [math.nan]}, "drops are epochs"),
        ({"type": "StepSchedule", "drops": 3}, "drops: expected a list of float, found 3 (int)"),
        ({"type": "StepSchedule", "factor": 0}, "factor is above 0 and at most 1, not 0"),
        ({"type": "StepSchedule", "factor": math.nan}, "factor is above 0 and at most 1, not nan"),
        ({"type": "CosineSchedule", "floor": 2}, "floor is a part of the learning rate, 0 to 1"),
        ({"type": "CosineSchedule", "warmup_steps": -1}, "warmup_steps is at least 0, not -1"),
        ({"type": "CosineSchedule", "warmup_factor": 0}, "warmup_factor is above 0 and at most 1"),
        ({"type": "Cosine"}, "unknown schedule 'Cosine'; did you mean 'CosineSchedule'?"),
    ],
)
def test_senseless_arguments_are_refused(node, message):
    written = Node("train.schedule", "a.yaml:3")
    written.update(node)
    with pytest.raises(ConfigError) as caught:
        SCHEDULES.build(written)
    assert message in str(caught.value)
    assert str(caught.value).startswith("a.yaml:3: train.schedule")

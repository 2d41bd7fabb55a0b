"""TrainStep: what it takes, and what a step without a detector's arguments derives."""

import pytest

from detkit.train_steps import FasterRCNNTrainStep, TrainStep
from support.steps import step_parts


def test_the_parts_are_attributes_and_none_may_be_missing(small_model):
    model, parts = small_model(), step_parts()
    step = FasterRCNNTrainStep(model, **parts)
    assert step.model is model
    assert all(getattr(step, name) is part for name, part in parts.items())
    del parts["roi_loss"]
    with pytest.raises(TypeError, match="^FasterRCNNTrainStep: .*roi_loss, .*proposals"):
        FasterRCNNTrainStep(model, **parts)
    with pytest.raises(TypeError, match="TrainStep: .*none.* targets"):
        TrainStep(model, targets=None)


def test_nothing_follows_from_the_detector_unless_a_step_says_so(small_model):
    assert TrainStep.derived("targets", small_model(), {}, 3) == {}

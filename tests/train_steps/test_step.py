"""TrainStep: what it takes, and what a step without a detector's arguments derives."""

import pytest

from detkit.train_steps import FasterRCNNTrainStep, TrainStep
from support.projects import RPN
from support.steps import step_parts, training

OF_IMAGE = "model.proposals.min_size_of=image"
OF_IMAGE_IN_TRAINING = "train_step.proposals.min_size_of=image"
MASKS = (
    "model.type=MaskRCNN",
    "model.mask_extractor={type: RoIAlign, size: 4}",
    "model.mask_head={type: MaskHead, convs: 1, channels: 8}",
)


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


@pytest.mark.parametrize(
    ("overrides", "inputs"),
    [
        ((OF_IMAGE_IN_TRAINING,), 5),
        ((OF_IMAGE,), 4),  # in testing alone
        ((*MASKS, OF_IMAGE, OF_IMAGE_IN_TRAINING), 6),
        ((*RPN, OF_IMAGE), 4),  # it trains on no proposals
    ],
)
def test_a_step_takes_scales_if_its_proposals_need_them(tmp_path, overrides, inputs):
    trained = training(tmp_path, *overrides, "train.epochs=1", "train.pictures=0")
    assert len(trained.train_step.INPUTS) == inputs
    assert (trained.train_step.INPUTS[-1] == "scales") == (inputs > 4)
    assert ("scales" in trained.model.INPUTS) == (OF_IMAGE in overrides)
    runner = trained.runner(str(tmp_path / "run"))
    runner.run()
    assert runner.progress.step == 3
